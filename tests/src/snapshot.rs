//! Snapshots under `snapshots/<area>/<name>.snap`.

/// Compares `text` with the snapshot `name` of `area`, a folder of `snapshots`.
pub fn snapshot(area: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{}/../snapshots/{area}", env!("CARGO_MANIFEST_DIR")));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The error as a terminal of 120 columns without colors shows it.
pub fn rendered(error: &dyn miette::Diagnostic) -> String {
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()).with_width(120);
    let mut out = String::new();
    handler.render_report(&mut out, error).expect("writing to a string succeeds");
    out
}
