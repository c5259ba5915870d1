//! A JavaScript source: checked when a workflow is saved, wrapped into a function when it runs.

use std::{fmt::Write as _, sync::Arc};

use oxc::ast::ast::{Expression, Program, Statement};

use crate::runtimes::{
    syntax::{self, SyntaxError, Wrapped},
    variables::{Variable, Variables},
};

/// A JavaScript function body that parses.
#[derive(Debug, Clone)]
pub(in crate::runtimes) struct Body {
    source: Arc<str>,
    variables: Variables,
}

/// What a wrapped source finds as `input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputName {
    /// The variable `input` of the scope, `env`, and no other.
    Only,
    /// The variable `input`, with all others.
    Input,
    /// The scope's `$json`, with all others.
    Json,
}

impl Body {
    /// Parses a source. Errors: the first thing that is wrong, with its place.
    pub(in crate::runtimes) fn parse(source: Arc<str>) -> Result<Self, SyntaxError> {
        // As an async function, for `await` and `return` at top level.
        let wrapped = Wrapped { before: "(async function () {\n", source: &source, after: "\n})" };
        let variables = syntax::parse(wrapped, |program, start| {
            if is_one_function(program) {
                return Variables::of_code(program)
                    .map_err(|unknown| SyntaxError::in_program(unknown.message, &source, start, unknown.offset));
            }
            Err(SyntaxError::in_program("a closing bracket has no opening one", &source, start, first_end(program)))
        })?;
        Ok(Self { source, variables })
    }

    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The function expression that the guest compiles: what is before the source is on lines that do not count, so that lines are
    /// the user's. The source is in a function of its own, so that it may declare variables of the same names as those of the scope
    /// (`const items = $input.all()`).
    pub(super) fn function(&self, input: InputName) -> String {
        let mut function = String::with_capacity(self.source.len() + 256);
        function.push_str("(({ ");
        function.push_str(if input == InputName::Json { "$json: input" } else { "input" });
        for variable in self.variables.iter() {
            if input != InputName::Only || variable == Variable::PlainEnv {
                write!(function, ", {}", variable.name()).expect("writing to a String cannot fail");
            }
        }
        function.push_str(" }) => (body => body())(async function () {\n\n");
        function.push_str(&self.source);
        function.push_str("\n;if (typeof main === \"function\") return main(input);\n}))");
        function
    }
}

/// Whether the source did not close the function around it and open another.
fn is_one_function(program: &Program<'_>) -> bool {
    let [Statement::ExpressionStatement(statement)] = &program.body[..] else { return false };
    let Expression::ParenthesizedExpression(parenthesized) = &statement.expression else { return false };
    matches!(&parenthesized.expression, Expression::FunctionExpression(_))
}

/// Where the first statement ends.
fn first_end(program: &Program<'_>) -> u32 {
    use oxc::span::GetSpan as _;
    program.body.first().map_or(0, |statement| statement.span().end)
}
