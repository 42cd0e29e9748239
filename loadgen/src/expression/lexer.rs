//! Text to tokens.

use super::ExpressionError;

/// The smallest part that means something.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    /// A figure, a function, a unit, `and` or `or`.
    Word(String),
    /// An operator, a comma, a parenthesis or the unit `%`.
    Sign(&'static str),
}

impl Token {
    /// The token as it may have been written, for messages.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// Longer ones first: `<=` is not `<` and something.
const SIGNS: [&str; 14] = [
    "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", ",", "%",
];

/// All tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() {
            let length = number_length(rest);
            let number = &rest[..length];
            let value = number.parse().ok().filter(|value: &f64| value.is_finite());
            tokens.push(Token::Number(
                value.ok_or_else(|| ExpressionError(format!("{number} is no number")))?,
            ));
            length
        } else if first.is_alphabetic() {
            let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '.');
            let length = rest.find(end).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else if matches!(first, '=' | '!' | '&' | '|') {
            let operators = "<, <=, >, >=, ==, !=, and, or are";
            return Err(ExpressionError(format!(
                "\"{first}\" is no operator; {operators}"
            )));
        } else {
            return Err(ExpressionError(format!(
                "\"{first}\" is no part of an expression"
            )));
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Digits and points, and an exponent if digits follow the `e`.
fn number_length(text: &str) -> usize {
    let digits = |text: &str, points: bool| {
        let end = |c: char| !(c.is_ascii_digit() || points && c == '.');
        text.find(end).unwrap_or(text.len())
    };
    let mantissa = digits(text, true);
    let Some(exponent) = text[mantissa..].strip_prefix(['e', 'E']) else {
        return mantissa;
    };
    let sign = usize::from(exponent.starts_with(['+', '-']));
    match digits(&exponent[sign..], false) {
        0 => mantissa,
        length => mantissa + 1 + sign + length,
    }
}
