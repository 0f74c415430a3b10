//! What operators ask a running node, by HTTP and by the program's own commands: every route, who
//! may use it and what the audit log has of that, hostile clients, a day that ends, and spans of
//! orders, which a node tells by itself.
#![expect(clippy::disallowed_methods, reason = "clients wait, and look at the clock")]

mod day;
mod hostile;
mod http;
mod openapi;
#[path = "../gateway/peer.rs"]
#[allow(dead_code, reason = "the rest is used by the gateway's tests")]
mod peer;
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "the rest is used by other tests of the program")]
mod program;
mod routes;
mod spans;
mod tokens;
mod views;
