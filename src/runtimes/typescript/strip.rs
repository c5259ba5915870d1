//! Finds what only TypeScript has, and takes it out. Lines and columns stay those of the user.

use oxc::{
    ast::ast::{
        ArrowFunctionExpression, Class, ClassElement, Declaration, Decorator, FormalParameter, Function, MethodDefinition,
        PropertyDefinition, PropertyDefinitionType, Statement, TSAsExpression, TSClassImplements, TSInstantiationExpression,
        TSNonNullExpression, TSSatisfiesExpression, TSThisParameter, TSTypeAnnotation, TSTypeAssertion,
        TSTypeParameterDeclaration, TSTypeParameterInstantiation, VariableDeclarator,
    },
    ast_visit::{Visit, walk},
    span::{GetSpan as _, SourceType, Span},
    syntax::scope::ScopeFlags,
};

use super::eraser::Eraser;
use crate::runtimes::syntax::{self, SyntaxError, Wrapped};

/// The JavaScript in a function body of TypeScript.
///
/// Errors: the first thing that is wrong, or that cannot be taken out because it does something when it runs.
pub(in crate::runtimes) fn strip(source: &str) -> Result<String, SyntaxError> {
    let wrapped = Wrapped { before: "(async function () {\n", source, after: "\n})" };
    let source_type = SourceType::script().with_typescript(true);
    syntax::parse_as(source_type, wrapped, |program, text, start| {
        let mut stripper = Stripper { eraser: Eraser::new(text), refused: None };
        stripper.visit_program(program);
        if let Some((what, span)) = stripper.refused {
            return Err(SyntaxError::in_program(what, source, start, span.start));
        }
        let stripped = stripper.eraser.into_text();
        Ok(stripped[start..start + source.len()].to_owned())
    })
}

struct Stripper {
    eraser: Eraser,
    /// The first thing that cannot be taken out.
    refused: Option<(&'static str, Span)>,
}

impl Stripper {
    fn refuse(&mut self, what: &'static str, span: Span) {
        if self.refused.is_none_or(|(_, first)| span.start < first.start) {
            self.refused = Some((what, span));
        }
    }

    /// Whether a declaration is of types alone. One that does something when it runs is refused.
    fn is_of_types(&mut self, declaration: &Declaration<'_>) -> bool {
        const ENUM: &str = "an enum does something when it runs, and cannot be taken out: use an object";
        const NAMESPACE: &str = "a namespace does something when it runs, and cannot be taken out: use an object";
        const IMPORT: &str = "code cannot import";
        match declaration {
            Declaration::TSTypeAliasDeclaration(_)
            | Declaration::TSInterfaceDeclaration(_)
            | Declaration::TSExternalModuleDeclaration(_)
            | Declaration::TSGlobalDeclaration(_) => true,
            Declaration::VariableDeclaration(variables) => variables.declare,
            // Without a body it is one of several signatures.
            Declaration::FunctionDeclaration(function) => function.declare || function.body.is_none(),
            Declaration::ClassDeclaration(class) => class.declare,
            Declaration::TSEnumDeclaration(enumeration) => {
                if !enumeration.declare {
                    self.refuse(ENUM, enumeration.span);
                }
                true
            }
            Declaration::TSNamespaceDeclaration(namespace) => {
                if !namespace.declare {
                    self.refuse(NAMESPACE, namespace.span);
                }
                true
            }
            Declaration::TSImportEqualsDeclaration(import) => {
                self.refuse(IMPORT, import.span);
                true
            }
        }
    }

    /// The modifiers before a member's name, and the mark behind it.
    fn strip_member(&mut self, member: Span, key: Span, after_key: u32) {
        self.eraser.erase_modifiers(Span::new(member.start, key.start.max(member.start)));
        self.eraser.erase_marks(Span::new(key.end, after_key.max(key.end)));
    }
}

impl<'a> Visit<'a> for Stripper {
    fn visit_statement(&mut self, statement: &Statement<'a>) {
        match statement.as_declaration() {
            Some(declaration) if self.is_of_types(declaration) => self.eraser.erase_statement(declaration.span()),
            _ => walk::walk_statement(self, statement),
        }
    }

    fn visit_ts_type_annotation(&mut self, annotation: &TSTypeAnnotation<'a>) {
        self.eraser.erase(annotation.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, parameters: &TSTypeParameterDeclaration<'a>) {
        self.eraser.erase(parameters.span);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, arguments: &TSTypeParameterInstantiation<'a>) {
        self.eraser.erase(arguments.span);
    }

    fn visit_ts_as_expression(&mut self, expression: &TSAsExpression<'a>) {
        self.visit_expression(&expression.expression);
        self.eraser.erase_end_of_expression(Span::new(expression.expression.span().end, expression.span.end));
    }

    fn visit_ts_satisfies_expression(&mut self, expression: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&expression.expression);
        self.eraser.erase_end_of_expression(Span::new(expression.expression.span().end, expression.span.end));
    }

    fn visit_ts_non_null_expression(&mut self, expression: &TSNonNullExpression<'a>) {
        self.visit_expression(&expression.expression);
        self.eraser.erase(Span::new(expression.expression.span().end, expression.span.end));
    }

    fn visit_ts_type_assertion(&mut self, assertion: &TSTypeAssertion<'a>) {
        self.visit_expression(&assertion.expression);
        self.eraser.erase(Span::new(assertion.span.start, assertion.expression.span().start));
    }

    fn visit_ts_instantiation_expression(&mut self, expression: &TSInstantiationExpression<'a>) {
        self.visit_expression(&expression.expression);
        self.eraser.erase_end_of_expression(expression.type_arguments.span);
    }

    fn visit_ts_this_parameter(&mut self, parameter: &TSThisParameter<'a>) {
        self.eraser.erase(parameter.span);
    }

    fn visit_function(&mut self, function: &Function<'a>, flags: ScopeFlags) {
        walk::walk_function(self, function, flags);
        if let Some(this) = &function.this_param {
            // With the comma behind it.
            let end =
                function.params.items.first().map_or_else(|| function.params.span.end.saturating_sub(1), |next| next.span.start);
            self.eraser.erase(Span::new(this.span.start, end.max(this.span.end)));
        }
    }

    fn visit_arrow_function_expression(&mut self, arrow: &ArrowFunctionExpression<'a>) {
        walk::walk_arrow_function_expression(self, arrow);
        if let Some(return_type) = &arrow.return_type {
            self.eraser.erase_before_arrow(return_type.span, arrow.params.span.end);
        }
    }

    fn visit_formal_parameter(&mut self, parameter: &FormalParameter<'a>) {
        if parameter.accessibility.is_some() || parameter.readonly || parameter.r#override {
            const PROPERTY: &str = "a parameter that is a property does something when it runs: assign it in the constructor";
            self.refuse(PROPERTY, parameter.span);
        }
        if parameter.optional {
            let end = parameter.type_annotation.as_ref().map_or(parameter.span.end, |annotation| annotation.span.start);
            self.eraser.erase_marks(Span::new(parameter.pattern.span().end, end));
        }
        walk::walk_formal_parameter(self, parameter);
    }

    fn visit_variable_declarator(&mut self, variable: &VariableDeclarator<'a>) {
        if let (true, Some(annotation)) = (variable.definite, &variable.type_annotation) {
            self.eraser.erase_marks(Span::new(variable.id.span().end, annotation.span.start));
        }
        walk::walk_variable_declarator(self, variable);
    }

    fn visit_class(&mut self, class: &Class<'a>) {
        if class.r#abstract {
            let name = class.id.as_ref().map_or(class.body.span.start, |id| id.span.start);
            self.eraser.erase_modifiers(Span::new(class.span.start, name));
        }
        walk::walk_class(self, class);
        if let Some(first) = class.implements.first() {
            let heritage = class.heritage.as_ref().map(|heritage| {
                heritage.type_arguments.as_ref().map_or(heritage.expression.span().end, |arguments| arguments.span.end)
            });
            let named = class.type_parameters.as_ref().map(|parameters| parameters.span.end);
            let named = named.or(class.id.as_ref().map(|id| id.span.end));
            // `class` itself, where there is neither a name nor a superclass.
            let start = heritage.or(named).unwrap_or(class.span.start + 5);
            self.eraser.erase(Span::new(start.min(first.span.start), class.body.span.start));
        }
    }

    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}

    fn visit_class_element(&mut self, element: &ClassElement<'a>) {
        let is_of_types = match element {
            ClassElement::MethodDefinition(method) => method.value.body.is_none(),
            ClassElement::PropertyDefinition(property) => {
                property.declare || property.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition
            }
            ClassElement::TSIndexSignature(_) => true,
            ClassElement::StaticBlock(_) | ClassElement::AccessorProperty(_) => false,
        };
        if is_of_types { self.eraser.erase_statement(element.span()) } else { walk::walk_class_element(self, element) }
    }

    fn visit_method_definition(&mut self, method: &MethodDefinition<'a>) {
        self.strip_member(method.span, method.key.span(), if method.optional { method.value.span.start } else { 0 });
        walk::walk_method_definition(self, method);
    }

    fn visit_property_definition(&mut self, property: &PropertyDefinition<'a>) {
        let is_marked = property.optional || property.definite;
        let after_key = property.type_annotation.as_ref().map_or(property.span.end, |annotation| annotation.span.start);
        let after_key = property.value.as_ref().map_or(after_key, |value| after_key.min(value.span().start));
        self.strip_member(property.span, property.key.span(), if is_marked { after_key } else { 0 });
        walk::walk_property_definition(self, property);
    }

    fn visit_decorator(&mut self, decorator: &Decorator<'a>) {
        self.refuse("decorators are not known here", decorator.span);
    }
}
