//! `model.tar.gz` and `output.tar.gz`: packing what a job leaves, unpacking what an endpoint gets.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, HeaderMode};

/// Why an archive cannot be made or unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A file cannot be read or written, or the archive is damaged.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// What is to be packed holds something that is neither a file nor a folder.
    #[error("{} is neither a file nor a folder; SageMaker takes no links", path.display())]
    Special { path: PathBuf },
    /// The archive holds a link, a device, or a path that leads out of the folder.
    #[error("{} holds {entry}, which is no plain file or folder below the archive's root", path.display())]
    Unsafe { path: PathBuf, entry: String },
}

/// True if there is a file anywhere under `folder`; false also if there is no such folder.
pub(crate) fn has_files(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| !entry.path().is_dir() || has_files(&entry.path()))
}

/// Packs everything under `folder` into the archive at `target`, the same bytes for the same files.
pub(crate) fn pack(folder: &Path, target: &Path) -> Result<(), ArchiveError> {
    let target_error = |source| ArchiveError::Io { path: target.to_path_buf(), source };
    let file = File::create(target).map_err(target_error)?;
    // Weights hardly shrink, so more effort costs seconds and saves nothing.
    let mut builder = Builder::new(GzEncoder::new(BufWriter::new(file), Compression::fast()));
    builder.mode(HeaderMode::Deterministic);
    append(&mut builder, folder, Path::new(""))?;
    builder.into_inner().and_then(GzEncoder::finish).and_then(|mut writer| writer.flush()).map_err(target_error)
}

fn append<W: Write>(builder: &mut Builder<W>, folder: &Path, inside: &Path) -> Result<(), ArchiveError> {
    let io_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ArchiveError::Io { path, source }
    };
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(io_error(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), inside.join(entry.file_name()));
        let kind = entry.file_type().map_err(io_error(&path))?;
        if kind.is_dir() {
            builder.append_dir(&name, &path).map_err(io_error(&path))?;
            append(builder, &path, &name)?;
        } else if kind.is_file() {
            builder.append_path_with_name(&path, &name).map_err(io_error(&path))?;
        } else {
            return Err(ArchiveError::Special { path });
        }
    }
    Ok(())
}

/// Unpacks the archive at `source` into the new folder `target`; nothing in it leads out of there.
pub(crate) fn unpack(source: &Path, target: &Path) -> Result<(), ArchiveError> {
    let io_error = |error| ArchiveError::Io { path: source.to_path_buf(), source: error };
    fs::create_dir_all(target).map_err(io_error)?;
    let file = File::open(source).map_err(io_error)?;
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    archive.set_preserve_mtime(false);
    for entry in archive.entries().map_err(io_error)? {
        let mut entry = entry.map_err(io_error)?;
        let path = entry.path().map_err(io_error)?.into_owned();
        let plain = matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Directory);
        let below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || !below || !entry.unpack_in(target).map_err(io_error)? {
            return Err(ArchiveError::Unsafe { path: source.to_path_buf(), entry: path.display().to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entry_type: EntryType, name: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        // `set_path` refuses what an attacker would write, so the bytes are set by hand.
        let bytes = &mut header.as_old_mut().name;
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(entry_type);
        header.set_size(0);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        builder.append(&header, io::empty()).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, file, to) = (folder.path().join("from"), folder.path().join("a.tar.gz"), folder.path().join("to"));
        fs::create_dir_all(from.join("sub/empty")).unwrap();
        fs::write(from.join("sub/a.txt"), "a").unwrap();
        pack(&from, &file).unwrap();
        let first = fs::read(&file).unwrap();
        unpack(&file, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("sub/a.txt")).unwrap(), "a");
        pack(&to, &file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), first);
    }

    #[test]
    fn links_are_not_packed() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir(&from).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let error = pack(&from, &folder.path().join("a.tar.gz")).unwrap_err();
        assert!(matches!(error, ArchiveError::Special { .. }), "{error}");
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (file, to) = (folder.path().join("a.tar.gz"), folder.path().join("in/to"));
        for (kind, name) in [
            (EntryType::Regular, "../out"),
            (EntryType::Regular, "/tmp/out"),
            (EntryType::Symlink, "link"),
            (EntryType::Link, "link"),
            (EntryType::Fifo, "fifo"),
        ] {
            fs::write(&file, archive(kind, name)).unwrap();
            let error = unpack(&file, &to).unwrap_err();
            assert!(matches!(error, ArchiveError::Unsafe { .. }), "{name}: {error}");
        }
        assert!(!folder.path().join("in/out").exists());
    }

    #[test]
    fn a_damaged_archive_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        fs::write(&file, "no archive").unwrap();
        assert!(unpack(&file, &folder.path().join("to")).unwrap_err().to_string().contains("a.tar.gz"));
    }

    #[test]
    fn empty_folders_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        assert!(!has_files(folder.path()));
        assert!(!has_files(&folder.path().join("missing")));
        fs::write(folder.path().join("a/b/c"), "").unwrap();
        assert!(has_files(folder.path()));
    }
}
