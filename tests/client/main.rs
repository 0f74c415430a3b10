//! The client library against a server that follows a script.

mod conversation;
mod cut;
mod server;
mod unanswered;
