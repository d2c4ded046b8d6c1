//! The members' page as a server on axum would show it: axum-login asks who it is, Maud renders it.
//!
//! Sessions and users are in memory, which costs less than doorward's question to the database each second.
#![allow(clippy::unwrap_used, reason = "this is a measurement")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::http::HeaderName;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, login_required,
};
use maud::{DOCTYPE, Markup, html};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tower_sessions::{MemoryStore, SessionManagerLayer};

/// The headers that doorward adds to each response.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        HeaderName::from_static("content-security-policy"),
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("referrer-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (HeaderName::from_static("cache-control"), "no-store"),
];

#[derive(Clone, Debug)]
struct User {
    uid: i64,
    name: String,
    email: String,
    hash: Vec<u8>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.uid
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.hash
    }
}

#[derive(Clone)]
struct Users(HashMap<i64, User>);

impl AuthnBackend for Users {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, uid: i64) -> Result<Option<User>, Infallible> {
        Ok(self.0.get(&uid).cloned())
    }

    async fn get_user(&self, uid: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.0.get(uid).cloned())
    }
}

/// Logs the one user in.
async fn enter(mut session: AuthSession<Users>) -> &'static str {
    let ada = session.authenticate(1).await.unwrap().unwrap();
    session.login(&ada).await.unwrap();
    "ok"
}

/// The page, filled up to the size of doorward's.
async fn secret(session: AuthSession<Users>) -> impl IntoResponse {
    let bytes = std::env::args().nth(2).map_or(0, |bytes| bytes.parse().unwrap());
    let page = page(&session.user.unwrap()).into_string();
    let missing = ".".repeat(usize::saturating_sub(bytes, page.len()));
    (HEADERS, Html(page + &missing))
}

fn page(user: &User) -> Markup {
    let password = |name: &str, label: &str| {
        html! {
            div.field {
                label for=(name) { (label) }
                input type="password" id=(name) name=(name) autocomplete="new-password" minlength="8" required;
            }
        }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Secret · doorward" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body.member {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.site href="/" { "doorward" }
                    nav aria-label="Main" {
                        ul {
                            li { a href="/" { "Home" } }
                            li { a href="/secret" aria-current="page" { "Secret" } }
                            li { form method="post" action="/logout" { button type="submit" { "Log out" } } }
                        }
                    }
                }
                main id="main" {
                    h1 { "Hello, " (user.name) "!" }
                    section {
                        h2 { "Files" }
                        ul { li { a href="/download/cheat-sheet.txt" { "cheat-sheet.txt" } " " span { (3) " kB" } } }
                    }
                    section {
                        h2 { "Password" }
                        form method="post" action="/password" {
                            input type="email" name="username" value=(user.email) hidden;
                            (password("current_password", "Current password"))
                            (password("password", "New password"))
                            (password("confirm", "New password again"))
                            button type="submit" { "Change password" }
                        }
                    }
                    section { h2 { "Your sessions" } ul { li { strong { "curl" } " from " (user.uid) } } }
                }
            }
        }
    }
}

fn main() {
    let address: SocketAddr = std::env::args().nth(1).unwrap().parse().unwrap();
    let ada = User {
        uid: 1,
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.org".to_owned(),
        hash: b"$2b$12$".to_vec(),
    };
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    let auth = AuthManagerLayerBuilder::new(Users(HashMap::from([(1, ada)])), sessions).build();
    let app = Router::new()
        .route("/secret", get(secret))
        .route_layer(login_required!(Users, login_url = "/"))
        .route("/enter", get(enter))
        .route("/", get(async || "ok"))
        .layer(auth);
    Runtime::new().unwrap().block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        axum::serve(socket.listen(4096).unwrap(), app).await.unwrap();
    });
}
