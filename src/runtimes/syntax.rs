//! Parses JavaScript and TypeScript with oxc, and says where it is wrong. Called when a workflow is saved; nothing runs here.

use std::thread;

use oxc::{
    allocator::Allocator,
    ast::ast::Program,
    diagnostics::OxcDiagnostic,
    parser::{ParseOptions, Parser, ParserReturn},
    span::SourceType,
};

/// Stack of a parser in bytes, besides what the source needs.
const PARSER_STACK_BYTES: usize = 1024 * 1024;
/// Stack per byte of source: the parser recurses, in the worst case once per byte (`((((..`), with 1,000 bytes each (measured with
/// 26 shapes of source). Only what is used of it is ever backed by memory.
const PARSER_STACK_BYTES_PER_BYTE: usize = 2 * 1024;

/// What is wrong with a source, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", .position.line, .position.column)]
pub struct SyntaxError {
    pub message: String,
    pub position: Position,
}

impl SyntaxError {
    /// An error at an offset of the program that a source is wrapped into, which begins there at `source_start`.
    pub(super) fn in_program(message: impl Into<String>, source: &str, source_start: usize, offset: u32) -> Self {
        let offset = usize::try_from(offset).unwrap_or(0).saturating_sub(source_start);
        Self { message: message.into(), position: Position::at(source, offset) }
    }
}

/// A place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// From 0, in bytes.
    pub offset: usize,
}

impl Position {
    /// The place at a byte offset; an offset inside of a character or beyond the end counts as the one before.
    pub(super) fn at(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset);
        let before = &source[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            line: count(before.matches('\n').count()).saturating_add(1),
            column: count(before[line_start..].chars().count()).saturating_add(1),
            offset,
        }
    }
}

/// A source inside of the text that makes a whole program of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrapped<'a> {
    pub(super) before: &'a str,
    pub(super) source: &'a str,
    pub(super) after: &'a str,
}

/// Parses a wrapped source and reads its syntax tree. `read` gets the program, the offset of the source in it, and may refuse it.
///
/// Errors: the first thing that is wrong, with its place in the source.
pub(super) fn parse<R: Send>(
    wrapped: Wrapped<'_>,
    read: impl FnOnce(&Program<'_>, usize) -> Result<R, SyntaxError> + Send,
) -> Result<R, SyntaxError> {
    parse_as(SourceType::script(), wrapped, |program, _, start| read(program, start))
}

/// As [`parse`], in a dialect. `read` also gets the text of the whole program.
///
/// Errors: as [`parse`].
pub(super) fn parse_as<R: Send>(
    source_type: SourceType,
    wrapped: Wrapped<'_>,
    read: impl FnOnce(&Program<'_>, &str, usize) -> Result<R, SyntaxError> + Send,
) -> Result<R, SyntaxError> {
    let source = wrapped.source;
    let stack_bytes = PARSER_STACK_BYTES + PARSER_STACK_BYTES_PER_BYTE * source.len();
    let parsed = thread::scope(|scope| {
        let parser = thread::Builder::new().name("parser".to_owned()).stack_size(stack_bytes);
        parser.spawn_scoped(scope, || parse_here(source_type, wrapped, read)).map(|thread| thread.join())
    });
    match parsed {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(SyntaxError { message: format!("cannot be parsed now: {error}"), position: Position::at(source, 0) }),
    }
}

fn parse_here<R>(
    source_type: SourceType,
    Wrapped { before, source, after }: Wrapped<'_>,
    read: impl FnOnce(&Program<'_>, &str, usize) -> Result<R, SyntaxError>,
) -> Result<R, SyntaxError> {
    let text = [before, source, after].concat();
    let allocator = Allocator::default();
    let options = ParseOptions { parse_regular_expression: true, ..ParseOptions::default() };
    let ParserReturn { program, diagnostics, .. } = Parser::new(&allocator, &text, source_type).with_options(options).parse();
    match diagnostics.errors().next() {
        Some(diagnostic) => Err(error_of(diagnostic, source, before.len())),
        None => read(&program, &text, before.len()),
    }
}

fn error_of(diagnostic: &OxcDiagnostic, source: &str, source_start: usize) -> SyntaxError {
    let offset = diagnostic.labels.first().map_or(0, |label| label.offset());
    let message = match &diagnostic.help {
        Some(help) => format!("{} ({help})", diagnostic.message),
        None => diagnostic.message.to_string(),
    };
    SyntaxError::in_program(message, source, source_start, offset)
}
