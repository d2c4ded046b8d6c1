//! The pages: each file has its words, its handlers and its markup. No HTML is made anywhere else.
//! Maud escapes every value, so what people type stays text.

pub mod error;
mod form;
pub mod index;
mod layout;
pub mod login;
pub mod register;
pub mod secret;
