"""An export on its way to the hub: the one place from which anything is sent anywhere, when the user says so."""

from importlib.metadata import version
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from gazetune.errors import GazetuneError, InputError

RECORD = "gazetune.json"  # what makes a folder or a repository an export, which may be replaced by another


def upload(folder: Path, name: str) -> str:
    """Send a folder to the hub: a repository made private if it is new; returns what was done, in words.

    Raises InputError if the repository holds something that is no export, GazetuneError if nothing could be sent.
    """
    api = HfApi()
    try:
        try:
            there = set(api.list_repo_files(name)) - {".gitattributes"}
        except RepositoryNotFoundError:
            there = set()
        if not there or RECORD in there:
            api.create_repo(name, private=True, exist_ok=True)
            api.upload_folder(folder_path=folder, repo_id=name, commit_message=f"gazetune {version('gazetune')}")
    except Exception as reason:  # its client's, its transport's, the system's: which ones, changes with its version
        raise GazetuneError(
            f"Nothing was sent to '{name}' on the hub: {str(reason).strip().splitlines()[0]} Log in with "
            f"'hf auth login', check the name and the net, or export to a folder."
        ) from reason
    if there and RECORD not in there:
        raise InputError(f"'{name}' on the hub holds something that is no export of gazetune's; nothing is sent.")
    return f"Sent to '{name}' on the hub (private if it is new; publish it there)."
