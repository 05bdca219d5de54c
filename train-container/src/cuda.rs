//! CUDA for the process that trains, where the image has it.
//!
//! The program is linked against libtorch's part for the CPU alone, so that one build serves both images. What
//! `libtorch_cuda.so` has registers itself when it is loaded, which has to be before libtorch is first asked for a device: the
//! dynamic linker does it by `LD_PRELOAD`.
//!
//! CUDA 13 wants a driver of version 580 or newer, which not every host of SageMaker has. NVIDIA's package `cuda-compat` has a
//! `libcuda.so.1` for data center GPUs with older drivers. With a driver as new as itself it fails (error 803), so that it must be
//! chosen at run time: <https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html>.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Libtorch's part for CUDA, beside its part for the CPU.
const LIBRARY: &str = "usr/local/lib/libtorch_cuda.so";
/// Where `cuda-compat` puts its libraries.
const COMPAT: &str = "usr/local/cuda/compat";
/// What the kernel's driver says of itself, in a line like
/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024`.
const DRIVER: &str = "proc/driver/nvidia/version";

/// The variables by which a process that is started finds CUDA; none where the image has none.
pub(crate) fn environment() -> Vec<(&'static str, OsString)> {
    environment_below(Path::new("/"), env::var_os("LD_LIBRARY_PATH"))
}

fn environment_below(root: &Path, library_path: Option<OsString>) -> Vec<(&'static str, OsString)> {
    let (library, compat) = (root.join(LIBRARY), root.join(COMPAT));
    if !library.is_file() {
        return Vec::new();
    }
    let mut environment = vec![("LD_PRELOAD", library.into_os_string())];
    if let (Some(driver), Some(own)) = (driver(root), version_of_compat(&compat))
        && driver < own
    {
        let mut path = compat.into_os_string();
        if let Some(rest) = library_path.filter(|rest| !rest.is_empty()) {
            path.push(":");
            path.push(rest);
        }
        environment.push(("LD_LIBRARY_PATH", path));
    }
    environment
}

/// The version of the host's driver.
fn driver(root: &Path) -> Option<Vec<u32>> {
    let said = fs::read_to_string(root.join(DRIVER)).ok()?;
    said.lines().next()?.split_whitespace().find_map(version)
}

/// The version of the driver that `cuda-compat` was made with, which is in the name of its `libcuda.so`.
fn version_of_compat(folder: &Path) -> Option<Vec<u32>> {
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| version(name.strip_prefix("libcuda.so.")?)).max()
}

/// The numbers of `535.183.01`; at least two, so that `libcuda.so.1` is none.
fn version(text: &str) -> Option<Vec<u32>> {
    let numbers: Vec<u32> = text.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    (numbers.len() > 1).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_driver_gets_the_compatible_library_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let names = |rest: Option<&str>| environment_below(root.path(), rest.map(OsString::from));
        assert_eq!(names(None), []);
        put(LIBRARY, "");
        let library = ("LD_PRELOAD", root.path().join(LIBRARY).into_os_string());
        assert_eq!(names(None), std::slice::from_ref(&library));
        put("usr/local/cuda/compat/libcuda.so.580.95.05", "");
        put("usr/local/cuda/compat/libcuda.so.1", "");
        assert_eq!(names(None), std::slice::from_ref(&library), "no driver is known");
        let compat = root.path().join(COMPAT).into_os_string().into_string().unwrap();
        for (driver, is_older) in [("535.183.01", true), ("580.95.05", false), ("595.1", false)] {
            put(
                DRIVER,
                &format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Sun May 12 19:39:15 UTC 2024\n"),
            );
            let mut expected = vec![library.clone()];
            if is_older {
                expected.push(("LD_LIBRARY_PATH", format!("{compat}:/x").into()));
            }
            assert_eq!(names(Some("/x")), expected, "{driver}");
        }
    }
}
