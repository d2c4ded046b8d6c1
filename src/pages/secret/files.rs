//! The list of the members' files, and `GET /download/…`.

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rouille::{Response, ResponseBody};

use crate::error::Error;
use crate::files::{self, CHEAT_SHEET, Listed};
use crate::http::headers;
use crate::pages::time;
use crate::sessions::Session;
use crate::visit::Visit;

const NO_FILES: &str = "There are no files yet.";

/// `GET /download/{name}`.
pub fn download(visit: &mut Visit, _: &Session) -> Result<Response, Error> {
    let name = visit.path.strip_prefix("/download/").unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8().map_err(|_| Error::NotFound)?;
    let body = match &visit.app.config.files {
        Some(folder) => files::open(folder, &name)?.map(ResponseBody::from_file),
        None => (name == CHEAT_SHEET.0).then(|| ResponseBody::from_string(CHEAT_SHEET.1)),
    };
    let data = body.ok_or(Error::NotFound)?;
    Ok(Response { status_code: 200, headers: headers::attachment(&name), data, upgrade: None })
}

/// The list of files. For a large folder it takes longer than the rest of the page, so it is made at most
/// once a second, for all members.
pub fn section(visit: &Visit) -> Markup {
    visit.app.file_list.get(|| {
        let files = match &visit.app.config.files {
            // A visitor cannot repair the folder, so the page shows no files, and the log the cause.
            Some(folder) => files::list(folder).unwrap_or_else(|error| {
                log::warn!("{error}");
                Vec::new()
            }),
            None => vec![Listed {
                name: CHEAT_SHEET.0.to_owned(),
                bytes: CHEAT_SHEET.1.len() as u64,
                modified: None,
            }],
        };
        list(&files)
    })
}

fn list(files: &[Listed]) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 #files { "Files" }
            @if files.is_empty() { p { (NO_FILES) } }
            ul.files {
                @for Listed { name, bytes, modified } in files {
                    li {
                        a href={ "/download/" (utf8_percent_encode(name, NON_ALPHANUMERIC)) } { (name) }
                        " " span.hint {
                            (size(*bytes))
                            @if let Some(modified) = modified { ", " (time::day(*modified)) }
                        }
                    }
                }
            }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => time::count(bytes, "byte"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{} MB", bytes.div_ceil(1_000_000)),
    }
}
