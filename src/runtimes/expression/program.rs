//! The expressions that are evaluated here: a syntax tree of what `lower` found to have the same meaning without the guest.

/// What a whole expression gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Program {
    Value(Node),
    /// An array literal.
    Array(Vec<Program>),
    /// An object literal; a later member replaces an earlier one of the same name.
    Object(Vec<(Box<str>, Program)>),
    /// `condition ? yes : no`, where one of the results is a literal of the above.
    Conditional(Node, Box<[Program; 2]>),
    /// `$now`, alone.
    Now,
    /// `$today`, alone.
    Today,
}

/// An expression with a value that is a primitive or comes from the scope.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    Variable(Variable),
    /// `list.length`
    ListLength(List),
    /// `item.json`
    ItemJson(ItemRef, Link),
    Member(Box<Node>, Key, Link),
    /// `object.method(..)`
    Method(Box<Node>, Method, Option<Box<Node>>, Link),
    /// `Function(..)`
    Call(Function, Box<Node>),
    /// Where a broken [`Link::Optional`] inside makes the whole undefined.
    Chain(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    ToNumber(Box<Node>),
    TypeOf(Box<Node>),
    Binary(Binary, Box<[Node; 2]>),
    Logical(Logical, Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    /// A template literal.
    Template(Vec<TemplatePart>),
}

/// A variable of the scope that is one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Json,
    ItemIndex,
    RunIndex,
    Execution,
    Workflow,
    Vars,
    Env,
}

/// A list of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    /// `$items()` and `$input.all()`.
    Input,
    /// `$node("id").all()` and `$node("id").items`.
    Node(Box<str>),
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemRef {
    /// `$item` and `$input.item`.
    Current,
    /// `$node("id").item`.
    OfNode(Box<str>),
    /// `$node("id")`, the JSON of which is undefined where there is no item.
    OfNodeOrNone(Box<str>),
    /// `list.first()`.
    First(List),
    /// `list.last()`.
    Last(List),
    /// `list[index]`.
    At(List, usize),
}

/// What a member is found by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    /// A name that not every object has, and that is not an index.
    Name(Box<str>),
    /// As `Name`, but arrays, strings or numbers have a function of that name.
    Inherited(Box<str>),
    Index(u32),
    /// A node that gives a number for sure.
    Number(Box<Node>),
}

/// Whether a member of undefined and null is an error or ends the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    ToUpperCase,
    ToLowerCase,
    Trim,
    TrimStart,
    TrimEnd,
    Includes,
    StartsWith,
    EndsWith,
    Join,
}

/// A built-in function of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    String,
    Number,
    Boolean,
    JsonStringify,
    MathFloor,
    MathCeil,
    MathRound,
    MathAbs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    StrictEqual,
    StrictNotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    And,
    Or,
    Coalesce,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TemplatePart {
    Text(Box<str>),
    Value(Node),
}
