//! The languages that run as processes of their own: a built-in table, and what the settings add to it or change of it. A line of it
//! says how to start the interpreter, what it needs to see, and how its failures read; whether it is here is looked up at start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::model::native_language::NativeLanguageSettings;

/// Where programs are looked for. Not the engine's own `PATH`: that may name places that only the engine can read.
pub(super) const PROGRAM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// What every language sees, where the machine has it.
const SYSTEM_PATHS: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"];
const MIB: u64 = 1024 * 1024;
/// Processes and threads of one run where the language does not say.
const TASKS_MAX: u64 = 64;
/// Interpreters of one language that wait.
const WARM_MAX: usize = 64;
/// What an interpreter that nobody knows takes for itself.
const RESIDENT_MIB: u64 = 64;
const RESERVED_MIB: u64 = 512;

/// How packages of a language are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packages {
    /// `pip install --target`, found by `PYTHONPATH`.
    Python,
    /// `npm install`, found by `NODE_PATH`.
    Node,
}

/// How a language is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LanguageSpec {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) command: Vec<String>,
    pub(super) file: String,
    pub(super) version: Vec<String>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) tasks_max: u64,
    pub(super) resident_bytes: u64,
    pub(super) reserved_bytes: u64,
    pub(super) failures: Failures,
    pub(super) packages: Option<Packages>,
    pub(super) requirements: Option<PathBuf>,
    pub(super) warm: usize,
    pub(super) preload: Vec<String>,
}

/// How to read what a language writes to standard error when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failures {
    /// How a line begins that says that a source does not compile: a regular expression. The program's own words may be like the
    /// interpreter's, so it has to be as exact as that is.
    pub(super) syntax: &'static str,
    /// How one begins that says that there was no memory.
    pub(super) memory: &'static str,
    /// Whether the innermost call is named last.
    pub(super) innermost_last: bool,
}

/// A line of the built-in table.
struct Builtin {
    name: &'static str,
    title: &'static str,
    command: &'static [&'static str],
    file: &'static str,
    version: &'static [&'static str],
    paths: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    tasks_max: u64,
    resident_mib: u64,
    reserved_mib: u64,
    failures: Failures,
    packages: Option<Packages>,
}

const NO_MARKS: Failures = Failures { syntax: NEVER, memory: r".*Cannot allocate memory", innermost_last: false };
/// No line begins like this.
const NEVER: &str = r"\z.";

/// **Source** of the figures: what an empty program of each takes on x86_64 (Debian 12), doubled.
const BUILTIN: &[Builtin] = &[
    Builtin {
        name: "bash",
        title: "Bash",
        command: &["bash", "{source}"],
        file: "main.sh",
        version: &["--version"],
        paths: &[],
        env: &[],
        tasks_max: TASKS_MAX,
        resident_mib: 16,
        reserved_mib: 32,
        failures: Failures {
            syntax: r"(bash|\S*main\.sh): .*syntax error",
            memory: r"(bash|\S*main\.sh): .*(cannot allocate|Cannot allocate memory|memory exhausted)",
            innermost_last: true,
        },
        packages: None,
    },
    Builtin {
        name: "python-native",
        title: "Python with packages",
        // Isolated but for the environment: it is ours, and names the packages.
        command: &["python3", "-s", "-P", "-B", "-X", "utf8", "{source}"],
        file: "main.py",
        version: &["--version"],
        paths: &[],
        // Each thread of the linear algebra would reserve 32 MiB.
        env: &[("OPENBLAS_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "1"), ("PYTHONUNBUFFERED", "1")],
        tasks_max: TASKS_MAX,
        resident_mib: 32,
        // Each thread reserves 8 MiB for its stack.
        reserved_mib: 704,
        failures: Failures {
            syntax: r"(SyntaxError|IndentationError|TabError): ",
            memory: r"MemoryError\b|numpy\.\S*MemoryError: |.*: Cannot allocate memory$",
            innermost_last: true,
        },
        packages: Some(Packages::Python),
    },
    Builtin {
        name: "node",
        title: "Node.js",
        command: &["node", "--max-old-space-size={memory_mib}", "{source}"],
        file: "main.js",
        version: &["--version"],
        paths: &[],
        env: &[("UV_THREADPOOL_SIZE", "2")],
        tasks_max: TASKS_MAX,
        resident_mib: 96,
        reserved_mib: 1_024,
        failures: Failures {
            // Whoever parses JSON gets a SyntaxError, too: here it is the loader of modules that calls.
            syntax: r"\s+at (wrapSafe|compileSourceTextModule) ",
            memory: r"FATAL ERROR: .*([Oo]ut of memory|Allocation failed)|RangeError: Array buffer allocation failed",
            innermost_last: false,
        },
        packages: Some(Packages::Node),
    },
    Builtin {
        name: "php",
        title: "PHP",
        command: &[
            "php",
            "-d",
            "memory_limit={memory_mib}M",
            "-d",
            "display_errors=stderr",
            "-d",
            "log_errors=0",
            "-d",
            "html_errors=0",
            "{source}",
        ],
        file: "main.php",
        version: &["--version"],
        paths: &["/etc/php"],
        env: &[],
        tasks_max: TASKS_MAX,
        resident_mib: 48,
        reserved_mib: 256,
        failures: Failures {
            syntax: r"(PHP )?Parse error: ",
            memory: r"(PHP )?Fatal error: +(Allowed memory size|Out of memory)|mmap\(\) failed: ",
            innermost_last: false,
        },
        packages: None,
    },
    Builtin {
        name: "go",
        title: "Go",
        command: &["go", "run", "{source}"],
        file: "main.go",
        version: &["version"],
        paths: &[],
        env: &[
            ("GOCACHE", "/tmp/go-build"),
            ("GOFLAGS", "-mod=mod -p=2"),
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("CGO_ENABLED", "0"),
            ("GO111MODULE", "off"),
        ],
        tasks_max: 256,
        resident_mib: 768,
        reserved_mib: 2_048,
        failures: Failures {
            // A stack has its places behind a tab.
            syntax: r"# command-line-arguments$|\S*main\.go:\d",
            memory: r"(fatal error: )?(runtime: )?(out of memory|cannot allocate memory)",
            innermost_last: false,
        },
        packages: None,
    },
    Builtin {
        name: "java",
        title: "Java",
        // One heap, one collector, no files of measurements: a run is short.
        command: &[
            "java",
            "-Xmx{memory_mib}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-Xshare:auto",
            "{source}",
        ],
        file: "Main.java",
        version: &["-version"],
        paths: &["/etc/java-11-openjdk", "/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/java-25-openjdk"],
        env: &[],
        tasks_max: 128,
        resident_mib: 256,
        reserved_mib: 1_024,
        failures: Failures {
            syntax: "error: compilation failed",
            memory: r#"(Exception in thread "[^"]*" |Caused by: )?java\.lang\.OutOfMemoryError\b|Error occurred during initialization of VM"#,
            innermost_last: false,
        },
        packages: None,
    },
    Builtin {
        name: "r",
        title: "R",
        command: &["Rscript", "--vanilla", "{source}"],
        file: "main.R",
        version: &["--version"],
        paths: &["/etc/R"],
        env: &[],
        tasks_max: TASKS_MAX,
        resident_mib: 128,
        reserved_mib: 512,
        failures: Failures {
            syntax: "Error: unexpected",
            memory: r"(Error: |Error in .*: |  )?cannot allocate",
            innermost_last: false,
        },
        packages: None,
    },
];

impl Builtin {
    fn spec(&self) -> LanguageSpec {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        LanguageSpec {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            command: owned(self.command),
            file: self.file.to_owned(),
            version: owned(self.version),
            paths: SYSTEM_PATHS.iter().chain(self.paths).map(PathBuf::from).collect(),
            env: self.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            tasks_max: self.tasks_max,
            resident_bytes: self.resident_mib * MIB,
            reserved_bytes: self.reserved_mib * MIB,
            failures: self.failures,
            packages: self.packages,
            requirements: None,
            warm: 0,
            preload: Vec::new(),
        }
    }
}

/// The built-in table with what the settings say, and sentences about settings that are of no use.
pub(super) fn languages(settings: &BTreeMap<String, NativeLanguageSettings>) -> (Vec<LanguageSpec>, Vec<String>) {
    let mut specs: BTreeMap<String, LanguageSpec> =
        BUILTIN.iter().map(|builtin| (builtin.name.to_owned(), builtin.spec())).collect();
    let mut problems = Vec::new();
    for (name, changes) in settings {
        match with_changes(name, changes) {
            Ok(spec) => drop(specs.insert(name.clone(), spec)),
            Err(problem) => problems.push(format!("runtimes.native.{name}: {problem}")),
        }
    }
    (specs.into_values().collect(), problems)
}

fn with_changes(name: &str, changes: &NativeLanguageSettings) -> Result<LanguageSpec, String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        return Err("a name is made of small letters, digits, `-` and `_`".to_owned());
    }
    let base = changes.extends.as_deref().unwrap_or(name);
    let mut spec = match BUILTIN.iter().find(|builtin| builtin.name == base) {
        Some(builtin) => builtin.spec(),
        None if changes.extends.is_some() => return Err(format!("extends `{base}`, which is not built in")),
        None => unknown_language(),
    };
    name.clone_into(&mut spec.name);
    if changes.extends.is_some() || spec.title.is_empty() {
        name.clone_into(&mut spec.title);
    }
    spec.command = changes.command.clone().unwrap_or(spec.command);
    spec.file = changes.file.clone().unwrap_or(spec.file);
    spec.version = changes.version.clone().unwrap_or(spec.version);
    spec.paths.extend(changes.paths.iter().cloned());
    spec.env.extend(changes.env.clone());
    spec.tasks_max = changes.tasks_max.unwrap_or(spec.tasks_max);
    spec.resident_bytes = changes.resident_mib.map_or(spec.resident_bytes, |mib| mib.saturating_mul(MIB));
    spec.reserved_bytes = changes.reserved_mib.map_or(spec.reserved_bytes, |mib| mib.saturating_mul(MIB));
    spec.requirements.clone_from(&changes.requirements);
    spec.warm = changes.warm;
    spec.preload.clone_from(&changes.preload);
    check(&spec)?;
    Ok(spec)
}

fn unknown_language() -> LanguageSpec {
    LanguageSpec {
        name: String::new(),
        title: String::new(),
        command: Vec::new(),
        file: String::new(),
        version: vec!["--version".to_owned()],
        paths: SYSTEM_PATHS.iter().map(PathBuf::from).collect(),
        env: BTreeMap::new(),
        tasks_max: TASKS_MAX,
        resident_bytes: RESIDENT_MIB * MIB,
        reserved_bytes: RESERVED_MIB * MIB,
        failures: NO_MARKS,
        packages: None,
        requirements: None,
        warm: 0,
        preload: Vec::new(),
    }
}

fn check(spec: &LanguageSpec) -> Result<(), String> {
    if spec.command.is_empty() {
        return Err("`command` is not set: the program and its arguments, with `{source}` among them".to_owned());
    }
    if !spec.command.iter().any(|part| part.contains("{source}")) {
        return Err("`command` does not name `{source}`".to_owned());
    }
    if spec.file.is_empty() || Path::new(&spec.file).components().count() != 1 || spec.file.starts_with('.') {
        return Err("`file` is the plain name of a file, such as `main.pl`".to_owned());
    }
    if let Some(path) = spec.paths.iter().find(|path| !path.is_absolute() || path.parent().is_none()) {
        return Err(format!("`{}` of `paths` is not an absolute path below `/`", path.display()));
    }
    if spec.requirements.is_some() && spec.packages.is_none() {
        return Err("`requirements` is for languages that extend `python-native` or `node`".to_owned());
    }
    if (spec.warm > 0 || !spec.preload.is_empty()) && spec.packages != Some(Packages::Python) {
        return Err("`warm` and `preload` are for languages that extend `python-native`".to_owned());
    }
    if spec.warm > WARM_MAX {
        return Err(format!("`warm` is {}, more than {WARM_MAX}", spec.warm));
    }
    Ok(())
}

/// Where a program is, if it is here.
pub(super) fn find_program(program: &str) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.is_absolute() {
        return path.is_file().then(|| path.to_owned());
    }
    PROGRAM_DIRECTORIES.iter().map(|directory| Path::new(directory).join(path)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, settings: NativeLanguageSettings) -> (Vec<LanguageSpec>, Vec<String>) {
        languages(&BTreeMap::from([(name.to_owned(), settings)]))
    }

    fn perl() -> NativeLanguageSettings {
        NativeLanguageSettings {
            command: Some(vec!["perl".to_owned(), "{source}".to_owned()]),
            file: Some("main.pl".to_owned()),
            ..NativeLanguageSettings::default()
        }
    }

    #[track_caller]
    fn refuses(name: &str, settings: NativeLanguageSettings, words: &str) {
        let (specs, problems) = with(name, settings);
        assert!(problems.len() == 1 && problems[0].contains(words), "{problems:?}");
        assert_eq!(specs.len(), BUILTIN.len());
    }

    #[test]
    fn every_built_in_line_is_sound() {
        let (specs, problems) = languages(&BTreeMap::new());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(specs.len(), 7);
        specs.iter().for_each(|spec| check(spec).unwrap());
    }

    #[test]
    fn settings_add_languages_and_change_them() {
        let (specs, problems) = with("perl", perl());
        assert_eq!(problems, Vec::<String>::new());
        let added = specs.iter().find(|spec| spec.name == "perl").unwrap();
        assert_eq!((added.title.as_str(), added.file.as_str(), added.tasks_max), ("perl", "main.pl", TASKS_MAX));
        let data = NativeLanguageSettings {
            extends: Some("python-native".to_owned()),
            requirements: Some("requirements.txt".into()),
            tasks_max: Some(7),
            ..NativeLanguageSettings::default()
        };
        let (specs, _) = with("data", data);
        let added = specs.iter().find(|spec| spec.name == "data").unwrap();
        assert_eq!((added.file.as_str(), added.tasks_max), ("main.py", 7));
        assert_eq!(specs.len(), BUILTIN.len() + 1);
    }

    #[test]
    fn settings_of_no_use_are_refused_by_name() {
        refuses("Perl", perl(), "small letters");
        refuses("perl", NativeLanguageSettings::default(), "`command` is not set");
        refuses("perl", NativeLanguageSettings { command: Some(vec!["perl".to_owned()]), ..perl() }, "{source}");
        refuses("perl", NativeLanguageSettings { file: Some("../main.pl".to_owned()), ..perl() }, "plain name");
        refuses("perl", NativeLanguageSettings { paths: vec!["/".into()], ..perl() }, "below `/`");
        refuses("perl", NativeLanguageSettings { paths: vec!["opt".into()], ..perl() }, "absolute");
        refuses("perl", NativeLanguageSettings { requirements: Some("x".into()), ..perl() }, "`requirements`");
        refuses("perl", NativeLanguageSettings { extends: Some("raku".to_owned()), ..perl() }, "not built in");
        refuses("perl", NativeLanguageSettings { warm: 1, ..perl() }, "`warm`");
        let python = || NativeLanguageSettings { warm: WARM_MAX, ..NativeLanguageSettings::default() };
        assert_eq!(with("python-native", python()).1, Vec::<String>::new());
        refuses("python-native", NativeLanguageSettings { warm: WARM_MAX + 1, ..python() }, "more than 64");
    }

    #[test]
    fn finds_programs_in_the_usual_places_only() {
        assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find_program("no-such-program"), None);
        assert_eq!(find_program("/no/such/program"), None);
    }
}
