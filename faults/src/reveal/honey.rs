//! What must be kept nowhere: where requests come from, what they bear, and requests that are wrong in every way.

use std::net::Ipv4Addr;

/// Sources of requests, all of this machine.
pub const ADDRESSES: [Ipv4Addr; 4] = [
    Ipv4Addr::new(127, 77, 131, 201),
    Ipv4Addr::new(127, 78, 142, 202),
    Ipv4Addr::new(127, 79, 153, 203),
    Ipv4Addr::new(127, 80, 164, 204),
];
/// Headers of every request, good or bad.
pub const HEADERS: &str = "User-Agent: HoneyAgent/77.1\r\nX-Forwarded-For: 203.0.113.77\r\n\
                           Forwarded: for=203.0.113.78\r\nX-Real-IP: 203.0.113.79\r\nCookie: id=honeycookie\r\n\
                           Referer: http://honeyreferer.example/\r\nTraceparent: 00-honeytrace-01\r\n";
/// Texts that stand in requests.
pub const TEXTS: [&str; 14] = [
    "HoneyAgent",
    "203.0.113.77",
    "203.0.113.78",
    "203.0.113.79",
    "honeycookie",
    "honeyreferer",
    "honeytrace",
    "honeypath",
    "honeyquery",
    "honeybody",
    "honeyhost",
    "HONEYMETHOD",
    "honeyname",
    "honeykey",
];
/// Parts of any report's body; the store's records have `"reports":`.
pub const BODY_PARTS: [&str; 3] = ["\"report\":", "\"period\":", "\"metric\":"];

/// Requests that a server must refuse or drop, each with honey in it.
pub fn bad_requests() -> Vec<Vec<u8>> {
    let request = |line: &str, headers: &str, body: &str| {
        format!("{line} HTTP/1.1\r\nHost: honeyhost\r\n{HEADERS}{headers}\r\n{body}").into_bytes()
    };
    let post = |headers: &str, body: &str| request("POST /v1/reports", headers, body);
    let json =
        |body: &str| post(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), body);
    vec![
        json("{\"honeykey\": \"honeybody\"}"),
        json("honeybody"),
        json("{\"v\":9,\"metric\":1,\"version\":1,\"period\":\"honeybody\",\"id\":\"honeybody\",\"report\":1}"),
        json(
            "{\"v\":1,\"metric\":99,\"version\":1,\"period\":\"2026-W47\",\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"report\":1}",
        ),
        json(&"honeybody".repeat(1_000)),
        json("\u{0}honeybody\u{1b}[31m\n2026-11-18T00:00:00Z  INFO honeybody"),
        post("Content-Type: text/honeyname\r\nContent-Length: 9\r\n", "honeybody"),
        post("Content-Type: application/json\r\nContent-Encoding: honeyname\r\nContent-Length: 9\r\n", "honeybody"),
        post("Content-Type: application/json\r\nContent-Length: 90\r\n", "honeybody, of which more was promised"),
        post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", "zz\r\nhoneybody\r\n0\r\n\r\n"),
        post(
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
            "9\r\nhoneybody\r\n0\r\nhoneyname: 1\r\n\r\n",
        ),
        post("Content-Type: application/json\r\nContent-Length: honeybody\r\n", ""),
        post("Expect: honeyname\r\nContent-Type: application/json\r\nContent-Length: 9\r\n", "honeybody"),
        post(&format!("honeyname: {}\r\n", "honeybody".repeat(4_000)), ""),
        request("GET /honeypath?honeyquery=1", "", ""),
        request("GET /metrics?honeyquery=1", "", ""),
        request("POST /v1/reports?honeyquery", "", ""),
        request("HONEYMETHOD /v1/reports", "", ""),
        request("GET http://honeyhost/honeypath", "", ""),
        request("DELETE /metrics", "", ""),
        b"honeybody\r\n\r\n".to_vec(),
        b"GET /honeypath HTTP/7.7\r\nhoneyname\r\n\r\n".to_vec(),
        b"GET /\xff\xfehoneypath HTTP/1.1\r\nHost: honeyhost\r\n\r\n".to_vec(),
        // The greeting of TLS, with honey as the server's name.
        b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03honeyhost.example honeyname honeybody".to_vec(),
        http2(),
    ]
}

/// One request in frames of HTTP/2, headers as literals.
fn http2() -> Vec<u8> {
    let literal = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut headers = vec![0x83, 0x86];
    headers.push(0x04);
    headers.extend(literal("/honeypath?honeyquery"));
    for (name, value) in [("user-agent", "HoneyAgent/77.1"), ("cookie", "honeycookie"), ("honeyname", "honeybody")] {
        headers.push(0x00);
        headers.extend(literal(name));
        headers.extend(literal(value));
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 0x05, 1, &headers)].concat()
}
