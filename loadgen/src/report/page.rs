//! Puts style, script and data into the page's frame.

use serde::Serialize;

use super::details::Details;
use crate::history::Line;

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// In this order: later parts use earlier ones.
const SCRIPTS: [&str; 8] = [
    include_str!("page/format.js"),
    include_str!("page/model.js"),
    include_str!("page/plot.js"),
    include_str!("page/timeline.js"),
    include_str!("page/curves.js"),
    include_str!("page/table.js"),
    include_str!("page/details.js"),
    include_str!("page/main.js"),
];

/// What the script reads.
#[derive(Serialize)]
struct Data<'a> {
    made: &'a str,
    version: &'static str,
    runs: &'a [Line],
    details: &'a Details,
}

/// The page of these runs, made at `made` (UTC).
#[must_use]
pub fn page(runs: &[Line], details: &Details, made: &str) -> String {
    let data = Data {
        made,
        version: env!("CARGO_PKG_VERSION"),
        runs,
        details,
    };
    let json = serde_json::to_string(&data).expect("results are plain data");
    let parts = [
        ("{{style}}", STYLE.to_string()),
        ("{{script}}", SCRIPTS.concat()),
        ("{{data}}", within_script(&json)),
    ];
    // Each place is looked for in the frame alone, so that nothing put in is taken for a place.
    let mut page = String::with_capacity(json.len() + 100_000);
    let mut rest = FRAME;
    while let Some((start, place, content)) = parts
        .iter()
        .filter_map(|(place, content)| Some((rest.find(place)?, *place, content)))
        .min_by_key(|(start, ..)| *start)
    {
        page.push_str(&rest[..start]);
        page.push_str(content);
        rest = &rest[start + place.len()..];
    }
    page.push_str(rest);
    page
}

/// JSON that may stand within a `script` element: no `<` that could end it or begin a comment. `<` occurs in JSON only within
/// strings, where it may be written as an escape (HTML standard, "Restrictions for contents of script elements").
fn within_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn lines(count: usize) -> Vec<Line> {
        let template = Line::from(&run_result("20p20c"));
        let lines = (0..count).map(|index| Line {
            id: format!("run-{index}"),
            ..template.clone()
        });
        lines.collect()
    }

    /// The data as the script would read it.
    fn data_of(page: &str) -> serde_json::Value {
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        let (json, _) = rest.split_once("</script>").unwrap();
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_line_of_the_history_is_in_the_page() {
        let lines = lines(1_200);
        let page = page(&lines, &Details::new(), "2026-01-01T00:00:00Z");
        let data = data_of(&page);
        let runs = data["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1_200);
        assert_eq!(runs[1_199]["id"], "run-1199");
        assert_eq!(
            runs[0]["latency_us"]["p99"],
            lines[0].summary.latency_us.unwrap().p99
        );
    }

    #[test]
    fn nothing_in_the_data_ends_the_script_or_is_taken_for_a_place() {
        let mut lines = lines(1);
        let hostile = "</script><script>alert(1)</script><!-- {{script}} {{style}} \u{2028}";
        lines[0].summary.server = hostile.into();
        let page = page(&lines, &Details::new(), "now");
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("alert(1)</script>") && !page.contains("<!--"));
        assert_eq!(data_of(&page)["runs"][0]["server"], hostile);
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page(&lines(1), &Details::new(), "now");
        for sign in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(sign), "{sign}");
        }
        // The one address that is allowed is a name: SVG's namespace.
        assert_eq!(page.matches("http://").count(), 1);
        assert!(!page.contains("https://"));
        assert!(page.contains("default-src 'none'"));
    }
}
