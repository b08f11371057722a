"""huggingface_hub's side of library_test.go; needs: pip install huggingface_hub.

    python library.py fetch|offline [NAME…]

works on the hub at HF_ENDPOINT and the cache in HF_HUB_CACHE, as the environment says. fetch fetches all of org/tiny,
or the files named; offline asks for what the cache has. Both print the folder, offline also that the cache is sound.
"""
import os
import sys

from huggingface_hub import constants, hf_hub_download, scan_cache_dir, snapshot_download

what, names = sys.argv[1], sys.argv[2:]
if what == "fetch" and names:
    folder = {os.path.dirname(hf_hub_download("org/tiny", name)) for name in names}.pop()
elif what == "fetch":
    folder = snapshot_download("org/tiny")
else:
    assert constants.is_offline_mode(), "HF_HUB_OFFLINE is not set"
    folder = snapshot_download("org/tiny")
    assert folder == snapshot_download("org/tiny", local_files_only=True)
    for name in names:
        assert hf_hub_download("org/tiny", name) == os.path.join(folder, name), name
    info = scan_cache_dir()
    assert not info.warnings, info.warnings
    (repo,) = info.repos
    (revision,) = repo.revisions
    assert repo.repo_id == "org/tiny" and revision.refs == {"main"}, repo
    assert set(names) <= {f.file_name for f in revision.files}, revision.files
print(folder)
