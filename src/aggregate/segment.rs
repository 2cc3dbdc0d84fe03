//! Names of an upload's segments in the state.

use sha2::{Digest, Sha256};

use crate::record::{Offset, UploadHash, UploadId};

/// The hash under which the state holds an upload of `id` that begins at `first_offset`: no two revisions share it.
pub(super) fn upload_hash(id: &UploadId, first_offset: Offset) -> UploadHash {
    scoped_hash(&id.hash(), &first_offset.0.to_be_bytes())
}

/// The segment of parked rows and spilled pages. It is scratch: the state never refers to it.
pub(super) fn scratch_segment(upload: UploadHash) -> UploadHash {
    scoped_hash(&upload, b"scratch")
}

fn scoped_hash(hash: &UploadHash, scope: &[u8]) -> UploadHash {
    let digest = Sha256::new().chain_update(hash.0).chain_update(scope).finalize();
    let mut hash = UploadHash([0; 16]);
    hash.0.copy_from_slice(&digest[..16]);
    hash
}
