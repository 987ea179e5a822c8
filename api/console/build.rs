//! Hashes the page at build time, for its `ETag` and for a Content-Security-Policy that allows
//! this script and this style only.

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

fn main() {
    println!("cargo::rerun-if-changed=index.html");
    let page = include_str!("index.html");
    let hash = |text: &str| Base64::encode_string(&Sha256::digest(text));
    let (style, script) = (hash(element(page, "style")), hash(element(page, "script")));
    println!("cargo::rustc-env=PAGE_ETAG=\"{}\"", hash(page));
    println!(
        "cargo::rustc-env=PAGE_POLICY=default-src 'none'; script-src 'sha256-{script}'; \
         style-src 'sha256-{style}'; img-src data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
}

/// The content of the page's only element with this name.
fn element<'a>(page: &'a str, name: &str) -> &'a str {
    let after = page.split_once(&format!("<{name}>")).map(|(_, after)| after);
    let within = after.and_then(|after| after.split_once(&format!("</{name}>")));
    within.map(|(within, _)| within).unwrap_or_default()
}
