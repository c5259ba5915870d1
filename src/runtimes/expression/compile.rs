//! Compiles the text between `{{` and `}}`.

use std::sync::Arc;

use oxc::{
    ast::ast::{Expression as SyntaxTree, Program as SyntaxProgram, Statement},
    span::GetSpan as _,
};

use super::{lower, program::Program};
use crate::runtimes::{
    syntax::{self, Position, SyntaxError, Wrapped},
    variables::Variables,
};

/// Size of one expression in bytes.
pub(super) const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// Characters of a source that an error message shows.
const EXCERPT_CHARACTERS_MAX: usize = 80;

/// One expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    /// The source without white space around it, cut to what a message can show.
    pub(super) excerpt: Box<str>,
    /// Where it stands in its string.
    pub(super) position: Position,
    /// The function that the guest compiles.
    pub(super) function: Arc<str>,
    pub(super) variables: Variables,
    /// How to evaluate it here; `None` if only the guest can.
    pub(super) program: Option<Program>,
}

impl Expression {
    /// Compiles the part of `text` that begins at `offset`. Errors: what is wrong, with its place in `text`.
    pub(super) fn compile(text: &str, source: &str, offset: usize) -> Result<Self, SyntaxError> {
        let at = |inner: usize| Position::at(text, offset + inner);
        if source.len() > EXPRESSION_BYTES_MAX {
            let message = format!("the expression has {} bytes, more than {EXPRESSION_BYTES_MAX}", source.len());
            return Err(SyntaxError { message, position: at(0) });
        }
        let trimmed = source.trim();
        if trimmed.is_empty() {
            return Err(SyntaxError { message: "the expression is empty".to_owned(), position: at(0) });
        }
        let (variables, program) = parse(source).map_err(|error| SyntaxError { position: at(error.position.offset), ..error })?;
        Ok(Self {
            excerpt: excerpt(trimmed),
            position: at(source.len() - source.trim_start().len()),
            function: function(source, &variables),
            variables,
            program,
        })
    }
}

fn parse(source: &str) -> Result<(Variables, Option<Program>), SyntaxError> {
    let wrapped = Wrapped { before: "\"use strict\";(", source, after: "\n)" };
    syntax::parse(wrapped, |syntax, start| {
        let Some(expression) = sole_expression(syntax) else {
            let end = syntax.body.first().map_or(0, |statement| statement.span().end);
            return Err(SyntaxError::in_program("this is not one expression", source, start, end));
        };
        let variables = Variables::of_expression(syntax)
            .map_err(|unknown| SyntaxError::in_program(unknown.message, source, start, unknown.offset))?;
        Ok((variables, lower::program(expression)))
    })
}

/// The expression in the parentheses around it, if the source did not close them and open others.
fn sole_expression<'p, 'a>(syntax: &'p SyntaxProgram<'a>) -> Option<&'p SyntaxTree<'a>> {
    let [Statement::ExpressionStatement(statement)] = &syntax.body[..] else { return None };
    match &statement.expression {
        SyntaxTree::ParenthesizedExpression(parenthesized) => Some(&parenthesized.expression),
        _ => None,
    }
}

/// A function of the variables that the source uses. What is before the source is on lines that do not count.
fn function(source: &str, variables: &Variables) -> Arc<str> {
    let names: Vec<&str> = variables.iter().map(|variable| variable.name()).collect();
    format!("(({{ {} }}) => (\n\n{source}\n))", names.join(", ")).into()
}

fn excerpt(source: &str) -> Box<str> {
    match source.char_indices().nth(EXCERPT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &source[..end]).into(),
        None => source.into(),
    }
}
