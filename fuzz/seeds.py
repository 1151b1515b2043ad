"""Fills seeds/ from the fixtures of the tests; the seeds of `pickle` and `ir_json` are in the repository."""

import pathlib
import shutil
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures"
LARGEST = 24_000


def main():
    folders = {name: HERE / "seeds" / name for name in ("pt2_archive", "pt2_json", "ir_text", "safetensors")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(FIXTURES.rglob("*.pt2")):
        name = "-".join(path.relative_to(FIXTURES).with_suffix("").parts)
        if path.stat().st_size < LARGEST:
            shutil.copyfile(path, folders["pt2_archive"] / name)
        with zipfile.ZipFile(path) as z:
            model = next(n for n in z.namelist() if n.endswith("models/model.json"))
            if z.getinfo(model).file_size < LARGEST:
                (folders["pt2_json"] / name).write_bytes(z.read(model))
    for path in sorted((HERE.parent / "tests" / "files").rglob("*.cot")):
        # Lines that tell the tests what to do stand before the graphs.
        lines = path.read_text().splitlines(keepends=True)
        (folders["ir_text"] / path.stem).write_text("".join(l for l in lines if not l.startswith("//")))
    for path in sorted(FIXTURES.rglob("*.safetensors")):
        with open(path, "rb") as f:
            size = struct.unpack("<Q", f.read(8))[0]
            if size < LARGEST:
                f.seek(0)
                name = "-".join(path.relative_to(FIXTURES).with_suffix("").parts)
                (folders["safetensors"] / name).write_bytes(f.read(LARGEST))


if __name__ == "__main__":
    main()
