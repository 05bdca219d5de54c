//! What of a stack belongs into the settings.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use crate::options::PlatformArgs;
use crate::progress::print;
use crate::session::Session;
use crate::settings::FILE;
use crate::stacks::Stack;

/// Prints what of the stack belongs into the file of settings, and writes that where there is none yet.
pub(crate) fn tell(
    session: &Session,
    stack: &Stack,
    platform: &PlatformArgs,
    config: Option<&Path>,
) -> anyhow::Result<()> {
    let (role, bucket) = (stack.output("ExecutionRoleArn")?, stack.output("Bucket")?);
    let path = config.unwrap_or(Path::new(FILE));
    let region = &session.clients.region;
    let text = format!("[platform]\nregion = \"{region}\"\nrole = \"{role}\"\nbucket = \"{bucket}\"\n");
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let said = match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => format!("written to {}, where all verbs find it:", path.display()),
        Err(_) if platform.role.as_deref() == Some(role) && platform.bucket.as_deref() == Some(bucket) => {
            "the settings are those of the stack:".to_owned()
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            format!("for {}, which is yours and stays as it is:", path.display())
        }
        Err(error) => format!("for {}, which cannot be written ({error}):", path.display()),
    };
    session.progress.say(&said);
    print(text.trim_end())
}
