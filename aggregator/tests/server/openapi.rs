//! `/openapi.json` against the running server: what it describes is taken, what is answered is described.

use serde_json::{Value, json};

use hubbub_privacy::{MetricId, Payload, Report};

use crate::client::{count, offer_all, post, post_with, request};
use crate::place::*;
use crate::server::{Server, export};

/// One collected metric of each family.
fn of_every_family() -> Vec<MetricText> {
    let metrics = standard_metrics();
    let (flag, marker) = (&metrics[0], &metrics[2]);
    let labels: Vec<String> = (0..300).map(|n| format!("\"value {n}\"")).collect();
    let many = format!(
        "kind = \"categorical\"\nvalues = [\"none\", \"other\", {}]\nabsent = \"none\"\nother = \"other\"",
        labels.join(", ")
    );
    let many: &'static str = Box::leak(many.into_boxed_str());
    let ordered = "kind = \"ordered\"\nedges = [0, 1, 2, 4, 8, 16]\ngoal = \"quantiles\"\nabsent = 0";
    vec![
        flag.clone(),
        MetricText { key: "many", id: 2, data: many, ..flag.clone() },
        MetricText { key: "level", id: 9, data: ordered, ..flag.clone() },
        marker.clone(),
    ]
}

/// The `number`-th value of a schema, for the few words that the document uses.
fn value(schema: &Value, number: usize) -> Value {
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        return json!(least + number as u64 % (most - least + 1));
    }
    if let Some(parts) = schema["prefixItems"].as_array() {
        return parts.iter().map(|part| value(part, number)).collect();
    }
    if let (Some(length), Some(most)) = (schema["minItems"].as_u64(), schema["items"]["maximum"].as_u64()) {
        // Ascending, as the family's description asks.
        let first = number as u64 % (most + 2 - length);
        return (first..first + length).collect();
    }
    if let Some(properties) = schema["properties"].as_object() {
        let fields = properties.iter().map(|(name, schema)| (name.clone(), value(schema, number)));
        return fields.collect::<serde_json::Map<_, _>>().into();
    }
    match schema["$ref"].as_str() {
        Some("#/components/schemas/Period") => json!("2026-W47"),
        Some("#/components/schemas/Id") => json!(format!("{number:A>21}w")),
        other => panic!("{other:?} in {schema}"),
    }
}

#[test]
fn requests_made_from_the_document_are_counted_for_every_family() {
    let place = crate::new_place();
    place.write_registry(&registry_text(&of_every_family()));
    let server = Server::start(&place);
    let document: Value = serde_json::from_str(&server.get("/openapi.json").body).unwrap();
    let schemas = &document["components"]["schemas"];
    let metrics = schemas["Report"]["oneOf"].as_array().unwrap();
    let mut families = Vec::new();
    for (position, metric) in metrics.iter().enumerate() {
        let schema = document.pointer(&metric["$ref"].as_str().unwrap()[1..]).unwrap();
        families.push(schema["properties"]["report"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
        let numbers = position * 32..position * 32 + 32;
        let made: Vec<Report> =
            numbers.map(|number| Report::decode(value(schema, number).to_string().as_bytes()).unwrap()).collect();
        assert_eq!(count(&offer_all(server.address, &made), 200), 32, "{}", made[0].encode());
    }
    families.sort();
    assert_eq!(families, ["Cyclotomic", "FoldedGeometric", "Subset", "Window"]);
    assert_eq!(export(&place).stdout.iter().filter(|&&byte| byte == b'\n').count(), 4);
}

#[test]
fn what_is_answered_is_described() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let page = server.get("/openapi.json");
    assert_eq!(crate::client::header(&page.head, "content-type"), Some("application/json"));
    let document: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let good = flags(0..1)[0].encode();
    for bytes in [
        post(good.as_bytes()),
        post(b"{"),
        post(&[b' '; 5000]),
        post_with("Content-Type: text/plain\r\n", good.as_bytes()),
        post(report(MetricId(99), "2026-W47", 1, Payload::Number(0)).encode().as_bytes()),
        post(report(EXPIRED, "2026-W47", 1, Payload::Number(0)).encode().as_bytes()),
        b"PUT /v1/reports HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"GET /v3 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ] {
        let reply = request(server.address, &bytes);
        let (status, word, code) = reply.verdict();
        let response = &document["paths"]["/v1/reports"]["post"]["responses"][status.to_string()];
        let properties = &response["content"]["application/json"]["schema"]["properties"];
        assert_eq!(properties["status"]["const"], word, "{status} {code}");
        assert!(properties["code"]["enum"].as_array().unwrap().contains(&json!(code)), "{status} {code}");
        assert!(response["description"].as_str().unwrap().contains(&format!("{} bytes", reply.body.len())), "{status}");
    }
    // Collected metrics and no others.
    let names = document["components"]["schemas"].as_object().unwrap().keys();
    let names: Vec<&String> = names.filter(|name| name.contains('.')).collect();
    assert_eq!(names, ["test.colour", "test.flag", "test.marker", "test.short_lived"]);
}
