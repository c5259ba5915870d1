//! Which languages can be installed, from which package, and what that package has to be, byte by byte.

use sha2::{Digest, Sha256};

/// A language that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Installable {
    Python,
    Ruby,
}

/// A package in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) registry: Registry,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The package's files with the systems that each is for.
    files: &'static [PackageFile],
}

/// Whose client fetches a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registry {
    Pip,
    Npm,
}

/// One file of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackageFile {
    /// As `std::env::consts` has them; empty for any.
    os: &'static str,
    architecture: &'static str,
    pub(super) name: &'static str,
    /// In hexadecimal.
    pub(super) sha256: &'static str,
}

/// componentize-py brings CPython with it and runs on the machine that installs.
const PYTHON: Package = Package {
    registry: Registry::Pip,
    name: "componentize-py",
    version: "0.25.1",
    files: &[
        file(
            "linux",
            "x86_64",
            "componentize_py-0.25.1-cp39-abi3-manylinux_2_28_x86_64.whl",
            "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
        ),
        file(
            "linux",
            "aarch64",
            "componentize_py-0.25.1-cp39-abi3-manylinux_2_28_aarch64.whl",
            "7b6a87c520358166843af0daa86d2312d7af4cbcbbf1e598951085cf7f2991ca",
        ),
        file(
            "macos",
            "aarch64",
            "componentize_py-0.25.1-cp39-abi3-macosx_11_0_arm64.whl",
            "a556991534cc496207a9d2ca733c4b0f17ed38ef56a8d6b5f1847fdf1225dd1b",
        ),
        file(
            "macos",
            "x86_64",
            "componentize_py-0.25.1-cp39-abi3-macosx_10_12_x86_64.whl",
            "65fbc4a94df1de8acf7da50a1f5ed1711230188844e53e6332d99029be4e0afa",
        ),
    ],
};
/// The interpreter with its standard library, for any machine. Ruby 4.0's memory is larger than what can be mapped copy-on-write.
const RUBY: Package = Package {
    registry: Registry::Npm,
    name: "@ruby/3.4-wasm-wasi",
    version: "2.10.1",
    files: &[file("", "", "ruby-3.4-wasm-wasi-2.10.1.tgz", "2e709bd9eddefe1c5d63e9fc0391a35cce4754e936d8a2f24b8582f6d5c2ea88")],
};

const fn file(os: &'static str, architecture: &'static str, name: &'static str, sha256: &'static str) -> PackageFile {
    PackageFile { os, architecture, name, sha256 }
}

/// What the Python guest is made of.
pub(super) const PYTHON_GUEST: [(&str, &str); 2] = [
    ("guest.py", include_str!("../../../guests/python/guest.py")),
    ("guest.wit", include_str!("../../../guests/python/guest.wit")),
];
/// What the Ruby guest is made of, besides the interpreter: also the code that snapshots it.
const RUBY_GUEST: [(&str, &str); 4] = [
    ("guest.rb", include_str!("../../../guests/ruby/guest.rb")),
    ("imports.rs", include_str!("../ruby/imports.rs")),
    ("interface.rs", include_str!("../ruby/interface.rs")),
    ("snapshot.rs", include_str!("../sandbox/snapshot.rs")),
];

impl Installable {
    pub const ALL: [Self; 2] = [Self::Python, Self::Ruby];

    /// What `language` of a code node says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Ruby => "ruby",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Ruby => "Ruby",
        }
    }

    /// Of the interpreter that is installed.
    pub fn version(self) -> &'static str {
        match self {
            Self::Python => "CPython 3.14.0",
            Self::Ruby => "CRuby 3.4.1",
        }
    }

    /// The language of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// A program that doubles `input.numbers`: shows that the language works.
    pub(super) fn probe(self) -> &'static str {
        match self {
            Self::Python => "return [number * 2 for number in input['numbers']]",
            Self::Ruby => "input['numbers'].map { |number| number * 2 }",
        }
    }

    pub(super) fn package(self) -> Package {
        match self {
            Self::Python => PYTHON,
            Self::Ruby => RUBY,
        }
    }

    /// Names everything that the guest is made of. A guest of another recipe is outdated.
    pub(super) fn recipe(self) -> String {
        let sources: &[(&str, &str)] = match self {
            Self::Python => &PYTHON_GUEST,
            Self::Ruby => &RUBY_GUEST,
        };
        let package = self.package();
        let mut hasher = Sha256::new();
        for part in sources.iter().map(|(_, source)| *source).chain([package.name, package.version]) {
            hasher.update(Sha256::digest(part));
        }
        hex(&hasher.finalize())
    }
}

impl Package {
    /// The file for this machine, if there is one.
    pub(super) fn file(&self) -> Option<&'static PackageFile> {
        use std::env::consts::{ARCH, OS};
        self.files
            .iter()
            .find(|file| (file.os.is_empty() || file.os == OS) && (file.architecture.is_empty() || file.architecture == ARCH))
    }
}

impl Registry {
    /// The program that fetches from it.
    pub(super) fn client(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Npm => "npm",
        }
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_package_for_this_machine_and_a_name_of_its_own() {
        for language in Installable::ALL {
            let file = language.package().file().expect("the tests run where Citadel is supported");
            assert_eq!(file.sha256.len(), 64, "{}", file.name);
            assert_eq!(Installable::of_name(language.name()), Some(language));
        }
        assert_ne!(Installable::Python.recipe(), Installable::Ruby.recipe());
        assert_eq!(Installable::of_name("perl"), None);
    }
}
