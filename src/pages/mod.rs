//! The pages: each file has its handlers and its markup, with its sentences at the top.
//!
//! In: a visitor and a request. Out: a page or a redirect. No HTML is made anywhere else, and maud
//! escapes every value, so what people type stays text.

pub mod error;
mod form;
pub mod index;
mod layout;
pub mod login;
pub mod register;
pub mod secret;
