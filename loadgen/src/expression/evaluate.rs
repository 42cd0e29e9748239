//! Values for a tree. What is unknown is `None` all the way up, unless an `and` or `or` can do without it.

use std::fmt;

use super::ExpressionError;
use super::parser::{Function, Node, Operation, Relation};
use super::quantity::{Quantity, Unit};

type Figures<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// Both sides of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The left side in its own unit; `None` when it was not measured.
    pub left: Option<f64>,
    /// The right side in the left one's unit.
    pub right: Option<f64>,
    relation: Relation,
    unit: Option<Unit>,
}

impl fmt::Display for Compared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |number| Quantity {
            number,
            unit: self.unit,
        };
        let (left, right) = (shown(self.left), shown(self.right));
        write!(out, "{left} {} {right}", self.relation.sign())
    }
}

/// Finds the first part that makes no sense, whatever the figures are.
pub(super) fn check(root: &Node) -> Result<(), ExpressionError> {
    if is_condition(root) {
        evaluate(root, &|_| None).map(drop)
    } else {
        quantity(root, &|_| None)?;
        Err(ExpressionError(
            "it is a number, not a condition: compare it with something".into(),
        ))
    }
}

/// Whether the condition holds.
pub(super) fn truth(root: &Node, figures: Figures<'_>) -> Option<bool> {
    evaluate(root, figures).expect("a parsed expression was checked")
}

/// Every comparison of the condition.
pub(super) fn comparisons(root: &Node, figures: Figures<'_>) -> Vec<Compared> {
    match root {
        Node::And(left, right) | Node::Or(left, right) => {
            [comparisons(left, figures), comparisons(right, figures)].concat()
        }
        Node::Comparison(relation, left, right) => {
            vec![compare(*relation, left, right, figures).expect("a parsed expression was checked")]
        }
        _ => Vec::new(),
    }
}

fn is_condition(node: &Node) -> bool {
    matches!(node, Node::Comparison(..) | Node::And(..) | Node::Or(..))
}

fn evaluate(node: &Node, figures: Figures<'_>) -> Result<Option<bool>, ExpressionError> {
    // Both sides are always looked at, so that a check reaches every node.
    match node {
        Node::And(left, right) => Ok(match (evaluate(left, figures)?, evaluate(right, figures)?) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        Node::Or(left, right) => Ok(match (evaluate(left, figures)?, evaluate(right, figures)?) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        Node::Comparison(relation, left, right) => {
            let compared = compare(*relation, left, right, figures)?;
            let sides = compared.left.zip(compared.right);
            Ok(sides.map(|(left, right)| match relation {
                Relation::Less => left < right,
                Relation::LessOrEqual => left <= right,
                Relation::Greater => left > right,
                Relation::GreaterOrEqual => left >= right,
                Relation::Equal => is_equal(left, right),
                Relation::NotEqual => !is_equal(left, right),
            }))
        }
        _ => Err(ExpressionError("a condition was expected, a number found".into())),
    }
}

/// Equal but for what converting units rounds.
fn is_equal(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
}

fn compare(
    relation: Relation,
    left: &Node,
    right: &Node,
    figures: Figures<'_>,
) -> Result<Compared, ExpressionError> {
    let (left, right) = (quantity(left, figures)?, quantity(right, figures)?);
    let (number, unit) = left.aligned(right)?;
    Ok(Compared {
        left: left.number,
        right: number,
        relation,
        unit,
    })
}

fn quantity(node: &Node, figures: Figures<'_>) -> Result<Quantity, ExpressionError> {
    match node {
        Node::Number(number, unit) => Ok(Quantity {
            number: Some(*number),
            unit: *unit,
        }),
        Node::Figure(name) => Ok(Quantity {
            number: figures(name).filter(|number| number.is_finite()),
            unit: Unit::of_name(name),
        }),
        Node::Negated(inner) => {
            let inner = quantity(inner, figures)?;
            Ok(Quantity {
                number: inner.number.map(|number| -number),
                ..inner
            })
        }
        Node::Arithmetic(operation, left, right) => {
            let (left, right) = (quantity(left, figures)?, quantity(right, figures)?);
            match operation {
                Operation::Plus => left.with(right, |one, two| one + two),
                Operation::Minus => left.with(right, |one, two| one - two),
                Operation::Times => left.times(right),
                Operation::By => left.divided_by(right),
            }
        }
        Node::Function(function, arguments) => {
            let mut values = arguments.iter().map(|argument| quantity(argument, figures));
            let first = values.next().expect("the parser asks for an argument")?;
            values.try_fold(apply_to_one(*function, first), |value, next| match function {
                Function::Min => value.with(next?, f64::min),
                Function::Max => value.with(next?, f64::max),
                Function::Abs => Ok(value),
            })
        }
        Node::Comparison(..) | Node::And(..) | Node::Or(..) => {
            Err(ExpressionError("a number was expected, a condition found".into()))
        }
    }
}

fn apply_to_one(function: Function, value: Quantity) -> Quantity {
    match function {
        Function::Abs => Quantity {
            number: value.number.map(f64::abs),
            ..value
        },
        Function::Min | Function::Max => value,
    }
}
