//! The README's listings are the snapshots of the examples, so that they cannot go stale.

use cotangent_tests::repo;

/// The statements of a snapshot, as the README quotes them.
fn listing(name: &str) -> String {
    let text = std::fs::read_to_string(repo(&format!("snapshots/examples/{name}.snap"))).expect("a snapshot");
    let body = text.splitn(3, "---").nth(2).expect("a header").trim();
    body.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[test]
fn the_readme_quotes_the_snapshots() {
    let readme = std::fs::read_to_string(repo("README.md")).expect("a README");
    for name in ["make_fx.raw_2021", "make_fx.raw", "make_fx.simplified", "hessian"] {
        let listing = listing(name);
        assert!(readme.contains(&listing), "the README should quote `{name}`:\n{listing}");
    }
}
