//! Files: a page as SVG, light and dark, and as PNG drawn from the same SVG.
//!
//! The PNG comes from the SVG through resvg, not from a second backend of the plotting library: so there is one picture to look at
//! and to test, and the only font it can use is the one in this program.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

use super::font;
use super::page::Page;
use super::theme::{DARK, LIGHT};

/// Width of a page in pixels, unless asked for otherwise.
pub const WIDTH: u32 = 1_000;
/// Pixels of a PNG for each of the SVG, for screens with fine ones.
const SCALE: f32 = 2.0;

/// Writes `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`, whose directory must exist.
pub(super) fn write(stem: &Path, page: &Page, width: u32) -> io::Result<()> {
    let draw = |theme, file: &Path| {
        page.svg(width, theme)
            .map_err(|error| io::Error::other(format!("cannot draw {}: {error}", file.display())))
    };
    let light = file(stem, ".svg");
    let svg = draw(&LIGHT, &light)?;
    std::fs::write(file(stem, ".png"), png(&svg)?)?;
    std::fs::write(light, svg)?;
    let dark = file(stem, "-dark.svg");
    let svg = draw(&DARK, &dark)?;
    std::fs::write(dark, svg)
}

/// A stem may hold dots, so this is not `with_extension`.
fn file(stem: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(stem);
    name.push(ending);
    name.into()
}

fn png(svg: &str) -> io::Result<Vec<u8>> {
    let options = usvg::Options {
        font_family: font::NAME.into(),
        fontdb: font::database(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(io::Error::other)?;
    let pixels = |length: f32| (length * SCALE).ceil() as u32;
    let mut pixmap = Pixmap::new(pixels(tree.size().width()), pixels(tree.size().height()))
        .ok_or_else(|| io::Error::other("a picture without pixels"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let svg = |text: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"20\"><rect width=\"60\" height=\"20\" \
                 fill=\"#fff\"/><text x=\"2\" y=\"15\" font-family=\"{}\" font-size=\"12\">{text}</text></svg>",
                font::FAMILY
            )
        };
        let blank = png(&svg("")).unwrap();
        assert!(blank.starts_with(b"\x89PNG"));
        assert_ne!(png(&svg("p99 µs")).unwrap(), blank);
    }

    #[test]
    fn names_keep_their_dots() {
        assert_eq!(
            file(Path::new("a/1.5-x"), "-dark.svg"),
            Path::new("a/1.5-x-dark.svg")
        );
    }
}
