//! The client library against a server that follows a script.

mod book;
mod conversation;
mod cut;
mod program;
mod server;
mod unanswered;
