//! What of a stack belongs into the settings.

use std::path::Path;

use crate::options::{PlatformArgs, StackArgs};
use crate::progress::print;
use crate::session::Session;
use crate::settings::{FILE, set};
use crate::stacks::Stack;

/// Whether the settings name the stack's role and bucket.
pub(crate) fn are_set(stack: &Stack, platform: &PlatformArgs) -> bool {
    let is = |key: &str, set: &Option<String>| set.as_ref() == stack.outputs.get(key);
    is("ExecutionRoleArn", &platform.role) && is("Bucket", &platform.bucket)
}

/// Prints what of the stack belongs into the file of settings, and writes that where there is none yet, or with `save`.
pub(crate) fn tell(
    session: &Session,
    stack: &Stack,
    args: &StackArgs,
    platform: &PlatformArgs,
    (config, save): (Option<&Path>, bool),
) -> anyhow::Result<()> {
    let value = |key: &str| stack.output(key).map(str::to_owned);
    let mut entries = Vec::from([
        ("platform", "region", session.clients.region.clone()),
        ("platform", "role", value("ExecutionRoleArn")?),
        ("platform", "bucket", value("Bucket")?),
    ]);
    // What stands in the file may be another.
    if save || !args.is_default() {
        entries.insert(0, ("platform", "name", args.name.clone()));
    }
    let lines = entries.iter().map(|(_, key, value)| format!("{key} = \"{value}\""));
    let text = [Vec::from(["[platform]".to_owned()]), lines.collect()].concat().join("\n");
    let path = config.unwrap_or(Path::new(FILE));
    let path_is = path.display();
    let said = if !save && path.exists() && are_set(stack, platform) {
        "the settings are those of the stack:".to_owned()
    } else if !save && path.exists() {
        format!(
            "for {path_is}, which is yours and stays as it is; with --save they take the place of what stands there:"
        )
    } else {
        match set(config, &entries) {
            // The stack is there all the same, and what belongs into the file is printed.
            Err(error) if !save => format!("for {path_is}, which cannot be written ({error:#}):"),
            written => {
                written?;
                format!("written to {path_is}:")
            }
        }
    };
    session.progress.say(&said);
    print(&text)
}
