//! The font: a subset of DejaVu Sans that is part of the program, so that pictures need nothing of the machine.
//!
//! PNG files are drawn with it. SVG files name it and fall back on what the viewer has; widths are measured with DejaVu, one
//! of the widest of the usual fonts, so a fallback leaves gaps but never overlaps.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use ttf_parser::Face;

/// As SVG files name it, with fallbacks.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// Its own name.
pub(super) const NAME: &str = "DejaVu Sans";
/// The plotting library writes sizes into SVG divided by this.
const SIZE_DIVISOR: f64 = 1.24;

static REGULAR: &[u8] = include_bytes!("font/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("font/DejaVuSans-Bold.ttf");
static FACES: LazyLock<[Face<'static>; 2]> = LazyLock::new(|| {
    [REGULAR, BOLD].map(|font| Face::parse(font, 0).expect("the font in this program is whole"))
});
static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut database = fontdb::Database::new();
    database.load_font_data(REGULAR.to_vec());
    database.load_font_data(BOLD.to_vec());
    Arc::new(database)
});

/// How heavy the strokes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// For the renderer of SVG files: this font and no other.
pub(super) fn database() -> Arc<fontdb::Database> {
    Arc::clone(&DATABASE)
}

/// The width of a text in pixels, rounded up.
pub(super) fn width_of(text: &str, size: i32, weight: Weight) -> i32 {
    let face = &FACES[usize::from(weight == Weight::Bold)];
    let em = f64::from(face.units_per_em());
    let units: f64 = text
        .chars()
        .map(|character| {
            // What the font does not have is as wide as an em in most fonts that have it.
            let glyph = face.glyph_index(character);
            let advance = glyph.and_then(|glyph| face.glyph_hor_advance(glyph));
            advance.map_or(em, f64::from)
        })
        .sum();
    (units / em * f64::from(size) / SIZE_DIVISOR).ceil() as i32
}

/// Breaks a text at spaces into lines that are at most `width` pixels wide; a longer word is broken anywhere.
pub(super) fn wrapped(text: &str, size: i32, width: i32) -> Vec<String> {
    let fits = |line: &str| width_of(line, size, Weight::Regular) <= width;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        let longer = if line.is_empty() {
            word.to_string()
        } else {
            format!("{line} {word}")
        };
        if fits(&longer) {
            *line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(String::new());
        }
        for character in word.chars() {
            let line = lines.last_mut().expect("there is always one");
            if line.is_empty() || fits(&format!("{line}{character}")) {
                line.push(character);
            } else {
                lines.push(character.to_string());
            }
        }
    }
    lines
}

/// The beginning of a text that is at most `width` pixels wide, with `…` where something is left out.
pub(super) fn shortened(text: &str, size: i32, weight: Weight, width: i32) -> String {
    if width_of(text, size, weight) <= width {
        return text.into();
    }
    let mut kept = text.to_string();
    while kept.pop().is_some() {
        let shown = format!("{}…", kept.trim_end());
        if width_of(&shown, size, weight) <= width {
            return shown;
        }
    }
    "…".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_every_character_that_charts_write() {
        let text = "Az09 ·×µ–…≥≤±−%/:+()[]{}@#$&'\"<>äöüß";
        for face in FACES.iter() {
            for character in text.chars() {
                assert!(face.glyph_index(character).is_some(), "{character}");
            }
        }
    }

    #[test]
    fn widths_grow_with_text_size_and_weight() {
        let width = |text, size| width_of(text, size, Weight::Regular);
        assert!(width("ii", 20) < width("mm", 20) && width("mm", 20) < width("mm", 30));
        assert!(width_of("throughput", 20, Weight::Bold) > width("throughput", 20));
        assert!(width("漢", 20) > 0 && width("", 20) == 0);
    }

    #[test]
    fn long_texts_are_broken_and_shortened_to_fit() {
        let text = "run 20261125T123912Z-20p20c-c094a45 averyverylongwordthatfitsnowhere end";
        let lines = wrapped(text, 13, 150);
        assert!(lines.len() > 3);
        assert!(
            lines
                .iter()
                .all(|line| width_of(line, 13, Weight::Regular) <= 150)
        );
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert_eq!(wrapped("short", 13, 150), ["short"]);
        let short = shortened(text, 13, Weight::Bold, 100);
        assert!(short.ends_with('…') && width_of(&short, 13, Weight::Bold) <= 100);
        assert_eq!(shortened("x", 13, Weight::Bold, 100), "x");
    }
}
