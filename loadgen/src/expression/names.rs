//! Names of figures: which an expression has, and what was meant by one that does not exist.

use super::ExpressionError;
use super::parser::Node;

/// Names that are offered for an unknown one.
const NEAREST_MAX: usize = 3;

/// Finds the first name that is not `known`.
pub(super) fn check(root: &Node, known: &[&str]) -> Result<(), ExpressionError> {
    match of(root).into_iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(ExpressionError(format!(
            "there is no figure {name}; the nearest are {}",
            nearest(name, known).join(", ")
        ))),
    }
}

/// All names, in their order.
pub(super) fn of(node: &Node) -> Vec<&str> {
    match node {
        Node::Number(..) => Vec::new(),
        Node::Figure(name) => vec![name],
        Node::Negated(inner) => of(inner),
        Node::Function(_, arguments) => arguments.iter().flat_map(of).collect(),
        Node::Arithmetic(_, left, right)
        | Node::Comparison(_, left, right)
        | Node::And(left, right)
        | Node::Or(left, right) => [of(left), of(right)].concat(),
    }
}

/// The most similar names first, by the Jaro-Winkler similarity of the whole name or of its last part.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let similarity = |known: &str| {
        let last = known.rsplit('.').next().unwrap_or(known);
        strsim::jaro_winkler(name, known).max(strsim::jaro_winkler(name, last))
    };
    let mut rated: Vec<_> = known.iter().map(|known| (similarity(known), *known)).collect();
    rated.sort_by(|one, two| two.0.total_cmp(&one.0));
    rated
        .into_iter()
        .take(NEAREST_MAX)
        .map(|(_, known)| known)
        .collect()
}
