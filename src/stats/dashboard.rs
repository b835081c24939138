//! The dashboard: one page with its style and script, all of it in the program. The figures come by
//! `/events`.
//!
//! The charts are uPlot 1.6.32 as npm has it (MIT, `dashboard/uPlot.LICENSE`).

use std::borrow::Cow;

use super::site::Response;

/// What the page may do: load its own files and talk to where it came from, nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ASSETS: [(&str, &str, &str); 6] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("dashboard/index.html"),
    ),
    (
        "/dashboard.css",
        "text/css; charset=utf-8",
        include_str!("dashboard/dashboard.css"),
    ),
    (
        "/dashboard.js",
        "text/javascript; charset=utf-8",
        include_str!("dashboard/dashboard.js"),
    ),
    (
        "/uPlot.css",
        "text/css; charset=utf-8",
        include_str!("dashboard/uPlot.min.css"),
    ),
    (
        "/uPlot.js",
        "text/javascript; charset=utf-8",
        include_str!("dashboard/uPlot.iife.min.js"),
    ),
    (
        "/icon.svg",
        "image/svg+xml",
        include_str!("dashboard/icon.svg"),
    ),
];

/// The part of the page at `path`.
pub(crate) fn asset(path: &str) -> Option<Response> {
    let (_, content_type, text) = ASSETS.iter().find(|asset| asset.0 == path)?;
    Some(Response {
        status: 200,
        content_type,
        body: Cow::Borrowed(text.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy would only stop it in the browser, where nobody looks.
    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_has_no_script_in_it() {
        let page = include_str!("dashboard/index.html");
        let after = |name| page.split(name).skip(1);
        let addresses = after("src=\"").chain(after("href=\""));
        let addresses: Vec<&str> = addresses.map(|at| at.split('"').next().unwrap()).collect();
        assert!(addresses.len() >= 4, "{addresses:?}");
        for address in addresses {
            assert!(
                asset(address).is_some() || address == "/metrics",
                "{address}"
            );
        }
        for (_, _, text) in &ASSETS {
            assert!(!text.contains("@import"), "it loads a style");
        }
        let script = include_str!("dashboard/dashboard.js");
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!script.contains(way), "{way}");
        }
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
    }
}
