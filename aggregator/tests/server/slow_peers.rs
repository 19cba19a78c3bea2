//! Peers that send nothing, or too slowly, lose their connection and cost nobody else.

use std::io::Read;

use crate::client::{Connection, offer, post};
use crate::place::*;
use crate::server::Server;

#[test]
fn connections_that_do_not_go_on_are_closed() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let request = post(flags(0..1)[0].encode_padded(512).as_bytes());
    let beginnings =
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &request[..40], &request[..request.len() - 1]];
    let mut slow: Vec<Connection> = beginnings
        .iter()
        .map(|beginning| {
            let mut connection = Connection::open(server.address);
            connection.send(beginning);
            connection
        })
        .collect();
    assert_eq!(offer(server.address, &flags(0..1)[0]).status, 202, "others are served meanwhile");
    for (connection, beginning) in slow.iter_mut().zip(beginnings) {
        let mut rest = Vec::new();
        // Reading ends with the server's close, or fails at the test's own deadline; an HTTP/2 peer gets settings first.
        connection.0.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{} bytes sent: {error}", beginning.len()));
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    }
}
