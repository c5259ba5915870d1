//! What is taken out of TypeScript, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::runtimes::{abuse::Abuse, code::CodeErrorCode, languages::Languages, testing::Tested};

fn run(source: &str) -> Result<Value, CodeError> {
    Tested(TYPESCRIPT).run(source).map(|output| output.output)
}

#[track_caller]
fn check(source: &str, expected: Value) {
    assert_eq!(run(source), Ok(expected), "{source}\n{:?}", strip(source));
    let stripped = strip(source).unwrap();
    assert_eq!(stripped.len(), source.len(), "{stripped}");
    assert_eq!(stripped.matches('\n').count(), source.matches('\n').count(), "{stripped}");
}

#[track_caller]
fn check_refused(source: &str, place: (u32, u32), message: &str) {
    let error = Code::parse(TYPESCRIPT, source).expect_err(source);
    assert_eq!((error.position.line, error.position.column), place, "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn types_of_variables_and_functions_are_taken_out() {
    check("const a: number = 1; let b!: string; b = 'x'; return [a, b]", json!([1, "x"]));
    check(
        "function f<T extends object>(this: void, a: T, b?: number, ...c: string[]): number { return c.length + (b ?? 0) }\nreturn f<{}>({}, 1, 'x')",
        json!(2),
    );
    check("function f(this: void) { return 1 }\nreturn f()", json!(1));
    check("const f = async <T,>(a: T): Promise<T> => a; return f<number>(3)", json!(3));
    check("const f = (a: number): {\n  n: number;\n} => ({ n: a });\nreturn f(1)", json!({ "n": 1 }));
    check(
        "function main({ n }: { n: number } | null = { n: 4 }): number { return n }\nreturn main()\ninterface Unused { a: 1 }",
        json!(4),
    );
    check("let s = 0; for (const x of [1, 2] as number[]) s += x; return s", json!(3));
    check("try { throw new Error('x') } catch (error: unknown) { return (error as Error).message }", json!("x"));
}

#[test]
fn declarations_of_types_are_taken_out() {
    check(
        "interface Order { id: string; lines?: Array<{ price: number }> }\ntype Id = Order['id'];\ndeclare const x: Id;\ndeclare function y(): void;\nreturn typeof x",
        json!("undefined"),
    );
    check("const a = 1\ntype T = number\n;[2].forEach(() => {})\nreturn a", json!(1));
    check("let f = () => 1\ntype T = number\n(2)\nreturn typeof f", json!("function"));
    check(
        "function f(a: string): void;\nfunction f(a: number): void;\nfunction f(a: unknown) { return a }\nreturn f(1)",
        json!(1),
    );
    check(
        "declare enum E { A }\ndeclare namespace N { const a: number }\nabstract class A { abstract n(): number; abstract m: number; declare x: number; [key: string]: unknown }\nreturn typeof A",
        json!("function"),
    );
}

#[test]
fn types_in_expressions_are_taken_out() {
    check("const o = { a: 1 } as const satisfies { a: number }; return <number>o!.a!", json!(1));
    check("let a = 1 as any\n(2)\nreturn a", json!(1));
    check("const m = new Map<string, number>([['a', 1]]); return m.get('a')!", json!(1));
    check("const f = Array.of<number>; return f(1)", json!([1]));
    check("const ä: \"größe\" | 'あ' | '😀' = 'あ'; return ä", json!("あ"));
}

#[test]
fn types_in_classes_are_taken_out() {
    let source = "class B<T> { constructor(protected_: T) { this.v = protected_ } v?: T; private static readonly n: number = 2; public get n(): number { return B.n } }
        interface I {}
        class C extends B<number> implements I, Iterable<number> { override readonly v!: number; private async m?(): Promise<number> { return this.v } *[Symbol.iterator](): Iterator<number> { yield this.n } }
        class D implements I { }
        return [...new C(1), typeof new D()]";
    check(source, json!([2, "object"]));
}

#[test]
fn what_runs_is_refused_with_its_place() {
    check_refused("const a = 1;\n  enum E { A }", (2, 3), "enum");
    check_refused("namespace N { export const a = 1 }", (1, 1), "namespace");
    check_refused("class A { constructor(private a: number) {} }", (1, 23), "assign it in the constructor");
    check_refused("@sealed class A {}", (1, 1), "decorators");
    check_refused("let a: = 1", (1, 8), "");
    check_refused("let a: number = ;\n", (1, 17), "");
    check_refused("}); (function () {", (1, 4), "");
}

#[test]
fn errors_name_the_line_and_column_of_the_user() {
    let error =
        run("type T = number;\nconst f = (n: T): T => {\n  const a: T = n; throw new Error('no');\n};\nf(1 as T)").unwrap_err();
    assert_eq!((error.code, error.line, error.column), (CodeErrorCode::Exception, Some(3), Some(29)));
}

#[test]
fn abuse_ends_as_it_should() {
    ABUSE.check(Languages::for_tests().get(TYPESCRIPT).unwrap());
}

#[test]
fn a_bad_run_never_affects_the_next() {
    ABUSE.check_sequences(Languages::for_tests().get(TYPESCRIPT).unwrap());
}

const ABUSE: Abuse<'_> = Abuse {
    language: TYPESCRIPT,
    endless: "while (true as boolean) {}",
    memory: "const all: Uint8Array[] = []; while (true) all.push(new Uint8Array(1e6))",
    recursion: "function f(): number { return f() + 1 }\nreturn f()",
    pattern: Some("return /(a+)+$/.test('a'.repeat(40) + 'b') as boolean"),
    sleep: None,
    output_flood: "return 'x'.repeat(100000) as string",
    log_flood: "while (true) console.log('flood' as string)",
    huge_input: "return (input as string).length",
    holds_input: true,
    syntax_error: ("type T = 1;\nconst y: T = = 2", Some(2)),
    no_json: Some("return 1n as bigint"),
    fetches: Some("while (true as boolean) await fetch('http://127.0.0.1/' as string)"),
    throws: ("const f = (): never => {\n  throw new Error('no')\n}\nf()", "no", Some(2)),
    poisons: &["(globalThis as any).leak = 1; (Array.prototype as any).map = () => 'poisoned'"],
    healthy: "const clean: boolean = typeof leak === 'undefined' && [1].map((n: number) => n + 1)[0] === 2;
        return [input + 1, clean ? 'clean' : 'dirty'] as const",
};
