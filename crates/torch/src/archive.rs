//! The zip archive that `torch.export.save` writes.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, Write};
use std::path::Path;

use serde::Serialize;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::error::TorchError;

/// How much larger than its compressed bytes an entry may be: deflate cannot do more, so that what says so is wrong.
const MAX_RATIO: u64 = 1032;

/// What an archive is read from: a file, or bytes.
trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// An open archive.
pub(crate) struct Archive<'a> {
    path: &'a Path,
    zip: zip::ZipArchive<Box<dyn Source + 'a>>,
    /// The size of the file in bytes.
    length: u64,
    /// The folder in which all entries stand (`archive/`, or the model's name).
    root: String,
    layout: Layout,
}

/// How the entries are arranged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A model of an archive of models, with raw weights: torch 2.8 and later.
    Archive,
    /// One program, with weights as `torch.save` writes them: before.
    Flat,
}

impl<'a> Archive<'a> {
    /// Opens the archive at `path`.
    pub fn open(path: &'a Path) -> Result<Self, TorchError> {
        let read = |e: std::io::Error| TorchError::Read { path: path.to_owned(), message: e.to_string() };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Archive::of(path, Box::new(file), length)
    }

    /// Opens the archive in `bytes`, which messages call `path`.
    pub fn in_bytes(path: &'a Path, bytes: &'a [u8]) -> Result<Self, TorchError> {
        Archive::of(path, Box::new(Cursor::new(bytes)), bytes.len() as u64)
    }

    fn of(path: &'a Path, source: Box<dyn Source + 'a>, length: u64) -> Result<Self, TorchError> {
        let zip = zip::ZipArchive::new(source)
            .map_err(|e| TorchError::Format { path: path.to_owned(), message: format!("not a zip archive: {e}") })?;
        let folder = |entry: &str| zip.file_names().filter_map(|n| n.strip_suffix(entry)).min().map(str::to_owned);
        let (root, layout) = match (folder("models/model.json"), folder("serialized_exported_program.json")) {
            (Some(root), _) => (root, Layout::Archive),
            (None, Some(root)) => (root, Layout::Flat),
            (None, None) => {
                let message = "expected an entry models/model.json or serialized_exported_program.json (a program of \
                               torch.export.save)";
                return Err(TorchError::Format { path: path.to_owned(), message: message.to_owned() });
            }
        };
        Ok(Archive { path, zip, length, root, layout })
    }

    /// The size of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of an entry, or `None` if there is none of that name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, TorchError> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        let mut bytes = vec![0; size];
        self.fill(name, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The number of bytes of an entry, or `None` if there is none of that name. There may be room for as many.
    pub fn size(&mut self, name: &str) -> Result<Option<usize>, TorchError> {
        let length = self.length;
        let Some(entry) = self.entry(name)? else { return Ok(None) };
        let ratio = if entry.compression() == CompressionMethod::Stored { 1 } else { MAX_RATIO };
        let most = entry.compressed_size().min(length).saturating_mul(ratio);
        let size = entry.size();
        drop(entry);
        match usize::try_from(size).ok().filter(|_| size <= most) {
            Some(n) => Ok(Some(n)),
            None => Err(self.fail(format!("{name}: expected at most {most} bytes, found {size}"))),
        }
    }

    /// Reads an entry of as many bytes as there is room.
    pub fn fill(&mut self, name: &str, room: &mut [u8]) -> Result<(), TorchError> {
        let Some(mut entry) = self.entry(name)? else { return Err(self.fail(format!("expected an entry {name}"))) };
        // The check of the bytes stands after the last one.
        let read = entry.read_exact(room).and_then(|()| entry.read(&mut [0; 1]));
        drop(entry);
        match read {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.fail(format!("{name}: expected {} bytes, found more", room.len()))),
            Err(e) => Err(self.fail(format!("{name}: {e}"))),
        }
    }

    fn entry(&mut self, name: &str) -> Result<Option<zip::read::ZipFile<'_, Box<dyn Source + 'a>>>, TorchError> {
        let full = format!("{}{name}", self.root);
        let path = self.path;
        let Some(index) = self.zip.index_for_name(&full) else { return Ok(None) };
        let entry = self.zip.by_index(index);
        entry.map(Some).map_err(|e| TorchError::Format { path: path.to_owned(), message: format!("{name}: {e}") })
    }

    fn fail(&self, message: String) -> TorchError {
        TorchError::Format { path: self.path.to_owned(), message }
    }

    /// The bytes of an entry that must be there.
    pub fn require(&mut self, name: &str) -> Result<Vec<u8>, TorchError> {
        let missing = TorchError::Format { path: self.path.to_owned(), message: format!("expected an entry {name}") };
        self.read(name)?.ok_or(missing)
    }
}

/// The folder of the entries that are written.
const ROOT: &str = "archive";

/// Readers map weights into memory: they start at multiples of this.
const ALIGNMENT: u16 = 64;

/// Entries from this size on have 64-bit sizes.
const LARGE: usize = u32::MAX as usize;

/// An archive of one model that is being written.
pub(crate) struct ArchiveWriter<'a> {
    path: &'a Path,
    zip: ZipWriter<BufWriter<File>>,
}

impl<'a> ArchiveWriter<'a> {
    /// Creates the archive at `path`, with the entries by which readers know its format.
    pub fn create(path: &'a Path) -> Result<Self, TorchError> {
        let file = File::create(path).map_err(|e| write_error(path, &e))?;
        let mut archive = ArchiveWriter { path, zip: ZipWriter::new(BufWriter::new(file)) };
        for (name, text) in
            [("archive_format", "pt2"), ("archive_version", "0"), (".data/version", "6\n"), ("byteorder", "little")]
        {
            archive.bytes(name, text.as_bytes())?;
        }
        // The arguments with which the program was traced: there are none.
        archive.bytes("data/sample_inputs/model.pt", &[])?;
        Ok(archive)
    }

    /// Writes an entry as it is.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), TorchError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(ALIGNMENT)
            .large_file(bytes.len() >= LARGE);
        let path = self.path;
        self.zip.start_file(format!("{ROOT}/{name}"), options).map_err(|e| write_error(path, &e))?;
        self.zip.write_all(bytes).map_err(|e| write_error(path, &e))
    }

    /// Writes an entry of JSON.
    pub fn json(&mut self, name: &str, value: &impl Serialize) -> Result<(), TorchError> {
        let bytes = serde_json::to_vec(value).map_err(|e| write_error(self.path, &e))?;
        self.bytes(name, &bytes)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<(), TorchError> {
        let mut out = self.zip.finish().map_err(|e| write_error(self.path, &e))?;
        out.flush().map_err(|e| write_error(self.path, &e))
    }
}

fn write_error(path: &Path, e: &dyn std::error::Error) -> TorchError {
    TorchError::Write { path: path.to_owned(), message: e.to_string() }
}
