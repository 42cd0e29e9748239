//! Tokens to a tree, by recursive descent: one function for each level of precedence.

use super::ExpressionError;
use super::lexer::Token;
use super::quantity::{Unit, suffix};

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Number(f64, Option<Unit>),
    Figure(String),
    Negated(Box<Node>),
    /// `+ - * /`
    Arithmetic(Operation, Box<Node>, Box<Node>),
    Function(Function, Vec<Node>),
    Comparison(Relation, Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Plus,
    Minus,
    Times,
    By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Min,
    Max,
    Abs,
}

/// A comparison's sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Relation {
    const ALL: [(&'static str, Self); 6] = [
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
    ];

    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, relation)| *relation == self);
        found.expect("all relations are listed").0
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

/// The tree of a whole expression.
pub(super) fn parse(tokens: &[Token]) -> Result<Node, ExpressionError> {
    let mut parser = Parser { tokens, at: 0 };
    let root = parser.expression()?;
    match parser.peek() {
        None => Ok(root),
        Some(_) => Err(parser.expected("the end")),
    }
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.conjunction()?;
        while self.take_word("or") {
            left = Node::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.comparison()?;
        while self.take_word("and") {
            left = Node::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Node, ExpressionError> {
        let left = self.sum()?;
        for (sign, relation) in Relation::ALL {
            if self.take(sign) {
                return Ok(Node::Comparison(relation, Box::new(left), Box::new(self.sum()?)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.product()?;
        loop {
            let operation = if self.take("+") {
                Operation::Plus
            } else if self.take("-") {
                Operation::Minus
            } else {
                return Ok(left);
            };
            left = Node::Arithmetic(operation, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.factor()?;
        loop {
            let operation = if self.take("*") {
                Operation::Times
            } else if self.take("/") {
                Operation::By
            } else {
                return Ok(left);
            };
            left = Node::Arithmetic(operation, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Node, ExpressionError> {
        if self.take("-") {
            return Ok(Node::Negated(Box::new(self.factor()?)));
        }
        if self.take("(") {
            let inner = self.expression()?;
            self.close()?;
            return Ok(inner);
        }
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.at += 1;
                let (factor, unit) = self.unit()?;
                Ok(Node::Number(number * factor, unit))
            }
            Some(Token::Word(word)) if word != "and" && word != "or" => {
                self.at += 1;
                if self.take("(") {
                    self.function(&word)
                } else {
                    Ok(Node::Figure(word))
                }
            }
            _ => Err(self.expected("a number or a figure")),
        }
    }

    /// What follows a number.
    fn unit(&mut self) -> Result<(f64, Option<Unit>), ExpressionError> {
        if self.take("%") {
            return Ok(suffix("%").expect("a known unit"));
        }
        let Some(Token::Word(word)) = self.peek() else {
            return Ok((1.0, None));
        };
        if word == "and" || word == "or" {
            return Ok((1.0, None));
        }
        let known = "us, ms, s, B, KiB, MiB, GiB, k, M and % are";
        let found = suffix(word).ok_or_else(|| ExpressionError(format!("{word} is no unit; {known}")))?;
        self.at += 1;
        Ok(found)
    }

    /// The arguments of a function whose parenthesis is open.
    fn function(&mut self, name: &str) -> Result<Node, ExpressionError> {
        let function = match name {
            "min" => Function::Min,
            "max" => Function::Max,
            "abs" => Function::Abs,
            _ => {
                let message = format!("{name} is no function; min, max and abs are");
                return Err(ExpressionError(message));
            }
        };
        let mut arguments = vec![self.expression()?];
        while self.take(",") {
            arguments.push(self.expression()?);
        }
        self.close()?;
        if function == Function::Abs && arguments.len() != 1 {
            let message = format!("abs takes one argument, not {}", arguments.len());
            return Err(ExpressionError(message));
        }
        Ok(Node::Function(function, arguments))
    }

    fn close(&mut self) -> Result<(), ExpressionError> {
        if self.take(")") {
            Ok(())
        } else {
            Err(self.expected("\")\""))
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(it)) if it == word);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> ExpressionError {
        let found = self
            .peek()
            .map_or("nothing".to_owned(), |token| format!("\"{}\"", token.text()));
        ExpressionError(format!("{found} where {what} was expected"))
    }
}
