//! What of a stack belongs into the settings.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use crate::options::{PlatformArgs, StackArgs};
use crate::progress::print;
use crate::session::Session;
use crate::settings::FILE;
use crate::stacks::Stack;

/// Whether the settings name the stack's role and bucket.
pub(crate) fn are_set(stack: &Stack, platform: &PlatformArgs) -> bool {
    let is = |key: &str, set: &Option<String>| set.as_ref() == stack.outputs.get(key);
    is("ExecutionRoleArn", &platform.role) && is("Bucket", &platform.bucket)
}

/// Prints what of the stack belongs into the file of settings, and writes that where there is none yet.
pub(crate) fn tell(
    session: &Session,
    stack: &Stack,
    args: &StackArgs,
    platform: &PlatformArgs,
    config: Option<&Path>,
) -> anyhow::Result<()> {
    let (role, bucket) = (stack.output("ExecutionRoleArn")?, stack.output("Bucket")?);
    let path = config.unwrap_or(Path::new(FILE));
    let region = &session.clients.region;
    let name = if args.is_default() { String::new() } else { format!("name = \"{}\"\n", args.name) };
    let text = format!("[platform]\n{name}region = \"{region}\"\nrole = \"{role}\"\nbucket = \"{bucket}\"\n");
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let said = match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => format!("written to {}, where all verbs find it:", path.display()),
        Err(_) if are_set(stack, platform) => "the settings are those of the stack:".to_owned(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            format!("for {}, which is yours and stays as it is:", path.display())
        }
        Err(error) => format!("for {}, which cannot be written ({error}):", path.display()),
    };
    session.progress.say(&said);
    print(text.trim_end())
}
