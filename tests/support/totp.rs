//! An authenticator app, as people have it on their phone (RFC 6238).

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An app that knows a key.
pub struct App(Vec<u8>);

impl App {
    /// The app after somebody has typed a key into it.
    pub fn with_key(typed: &str) -> App {
        let (mut key, mut bits, mut count) = (Vec::new(), 0_u32, 0);
        for letter in typed.chars().filter(|c| *c != ' ') {
            let value = BASE32.find(letter).expect("a letter of base32");
            (bits, count) = (bits << 5 | u32::try_from(value).unwrap(), count + 5);
            if count >= 8 {
                count -= 8;
                key.push(u8::try_from(bits >> count & 0xff).unwrap());
            }
        }
        App(key)
    }

    /// What it shows now.
    pub fn code(&self) -> String {
        self.code_in(0)
    }

    /// What it shows so many steps from now.
    pub fn code_in(&self, steps: i64) -> String {
        let step = i64::try_from(seconds() / 30).unwrap() + steps;
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&step.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        let offset = usize::from(mac[19] % 16);
        let number = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// A code that it shows neither now nor soon, nor did lately.
    pub fn wrong_code(&self) -> String {
        let right: Vec<String> = (-3..=3).map(|steps| self.code_in(steps)).collect();
        let mut codes = (0..10).map(|n| format!("{n}{n}{n}{n}{n}{n}"));
        codes.find(|code| !right.contains(code)).unwrap()
    }
}

/// How many seconds of the current step have passed.
pub fn seconds_of_step() -> u64 {
    seconds() % 30
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
