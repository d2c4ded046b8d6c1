//! The pages: each file has its words, its handlers and its markup. No HTML is made anywhere else, and
//! maud escapes every value, so what people type stays text.

pub mod index;
pub mod login;
pub mod register;
pub mod secret;

pub mod error;
pub mod form;
pub mod layout;

pub mod assets;
pub mod probes;
