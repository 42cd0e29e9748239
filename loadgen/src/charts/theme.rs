//! Colours, for a light and for a dark page.
//!
//! Lines take theirs from the Okabe-Ito palette, which people with any colour vision can tell apart, lightened where the
//! page is dark. Heat goes from near the page's own colour to what stands out most, in lightness alone.

use plotters::style::RGBColor;

/// The colour of a line, by its role in the palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hue {
    Sky,
    Blue,
    Green,
    Orange,
    Vermillion,
    Purple,
    /// As text.
    Ink,
    /// For what stands behind the rest.
    Faint,
}

impl Hue {
    /// Those that tell series apart, the best told apart first.
    pub(super) const SERIES: [Self; 6] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Vermillion,
        Self::Purple,
        Self::Sky,
    ];
}

/// All colours of a page.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) page: RGBColor,
    pub(super) ink: RGBColor,
    pub(super) faint: RGBColor,
    pub(super) grid: RGBColor,
    pub(super) shade: RGBColor,
    sky: RGBColor,
    blue: RGBColor,
    green: RGBColor,
    orange: RGBColor,
    vermillion: RGBColor,
    purple: RGBColor,
    heat: [RGBColor; 5],
}

pub(super) static LIGHT: Theme = Theme {
    page: RGBColor(255, 255, 255),
    ink: RGBColor(34, 34, 34),
    faint: RGBColor(95, 95, 95),
    grid: RGBColor(224, 224, 224),
    shade: RGBColor(243, 243, 243),
    sky: RGBColor(86, 180, 233),
    blue: RGBColor(0, 114, 178),
    green: RGBColor(0, 158, 115),
    orange: RGBColor(230, 159, 0),
    vermillion: RGBColor(213, 94, 0),
    purple: RGBColor(204, 121, 167),
    heat: [
        RGBColor(222, 235, 247),
        RGBColor(158, 202, 225),
        RGBColor(66, 146, 198),
        RGBColor(8, 81, 156),
        RGBColor(5, 30, 75),
    ],
};

pub(super) static DARK: Theme = Theme {
    page: RGBColor(22, 24, 28),
    ink: RGBColor(232, 232, 232),
    faint: RGBColor(168, 170, 174),
    grid: RGBColor(58, 61, 67),
    shade: RGBColor(33, 36, 42),
    sky: RGBColor(130, 205, 250),
    blue: RGBColor(66, 156, 226),
    green: RGBColor(26, 188, 143),
    orange: RGBColor(240, 176, 40),
    vermillion: RGBColor(242, 118, 46),
    purple: RGBColor(222, 148, 192),
    heat: [
        RGBColor(30, 48, 74),
        RGBColor(30, 88, 140),
        RGBColor(52, 146, 198),
        RGBColor(146, 208, 226),
        RGBColor(246, 250, 220),
    ],
};

impl Theme {
    pub(super) fn color(&self, hue: Hue) -> RGBColor {
        match hue {
            Hue::Sky => self.sky,
            Hue::Blue => self.blue,
            Hue::Green => self.green,
            Hue::Orange => self.orange,
            Hue::Vermillion => self.vermillion,
            Hue::Purple => self.purple,
            Hue::Ink => self.ink,
            Hue::Faint => self.faint,
        }
    }

    /// The colour of a share of the highest heat, from 0 to 1.
    pub(super) fn heat(&self, share: f64) -> RGBColor {
        let place = share.clamp(0.0, 1.0) * (self.heat.len() - 1) as f64;
        let below = (place as usize).min(self.heat.len() - 2);
        let (from, to, part) = (self.heat[below], self.heat[below + 1], place - below as f64);
        let mix =
            |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
        RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, roughly: enough to order colours.
    fn lightness(RGBColor(red, green, blue): RGBColor) -> f64 {
        0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue)
    }

    #[test]
    fn heat_is_ordered_by_lightness_and_leaves_the_page() {
        for (theme, sign) in [(&LIGHT, -1.0), (&DARK, 1.0)] {
            let steps: Vec<f64> = (0..=20)
                .map(|step| sign * lightness(theme.heat(f64::from(step) / 20.0)))
                .collect();
            assert!(steps.is_sorted(), "{steps:?}");
            assert!(sign * lightness(theme.page) < steps[0]);
        }
    }

    #[test]
    fn text_and_lines_stand_out_from_the_page() {
        for theme in [&LIGHT, &DARK] {
            let page = lightness(theme.page);
            for hue in Hue::SERIES {
                assert!((lightness(theme.color(hue)) - page).abs() > 60.0, "{hue:?}");
            }
            assert!((lightness(theme.faint) - page).abs() > 120.0);
        }
    }
}
