//! The client library against a server that follows a script.

mod book;
mod conversation;
mod cut;
mod pair;
mod program;
mod server;
mod unanswered;
