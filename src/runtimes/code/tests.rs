//! What code can and cannot do in the JavaScript sandbox.

use serde_json::{Value, json};

use super::*;
use crate::runtimes::javascript::JavaScript;

fn run_with(source: &str, input: &Value, limits: CodeLimits) -> Result<CodeOutput, CodeError> {
    let code = Code::parse(source).expect("the source parses");
    JavaScript::for_tests().run(&CodeRequest { code: &code, input: CodeInput::Value(input), limits })
}

fn run(source: &str) -> Result<CodeOutput, CodeError> {
    run_with(source, &json!({ "a": 20 }), CodeLimits::default())
}

#[track_caller]
fn check(source: &str, expected: Value) {
    assert_eq!(run(source).map(|output| output.output), Ok(expected), "{source}");
}

#[test]
fn probe() {
    for source in [
        "return input.a + 1",
        "function main(x) { return x }",
        "throw new TypeError('oops')",
        "let a = 1;\n\n  null.x",
        "await new Promise(() => {})",
        "while(true){}",
        "let s='x';while(true)s+=s",
        "let a=[];while(true)a.push(new Array(10000).fill('x'.repeat(9)))",
        "function f(){return f()+1};return f()",
        "return /(a+)+$/.test('a'.repeat(40)+'b')",
        "let o={};for(let i=0;i<1e6;i++)o={o};return o",
        "return 1n",
        "return 'x\\ud800y'",
        "return [[[[1]]]].toString.toString()",
        "throw {a:1}",
        "const f = () => { throw new Error('in f') };\nconst g = () => f();\ng()",
        "console.log('a', {b:1}, [1]); console.error(new Error('x')); return [typeof eval, typeof std, typeof require, Date.now(), Math.random(), performance.now()]",
        "let n=0; const f=()=>{n++; f()}; try {f()} catch(e) {return [n, String(e)]}",
        "return JSON.parse('['.repeat(100000)+']'.repeat(100000))",
        "return new Array(1e6).join('(').replace(/(\\()+/g,'x')",
        "return eval2('x')",
        "return new Function('return [' .repeat(50000))()",
    ] {
        let t = std::time::Instant::now();
        let r = run_with(source, &json!({"a": 20}), CodeLimits { wall_ms: 300, ..CodeLimits::default() });
        let d = format!("{r:?}");
        println!("{:>7.1} ms {source:.60}\n      -> {:.400}", t.elapsed().as_secs_f64() * 1e3, d);
    }
    check("return input.a + 1", json!(21));
}
