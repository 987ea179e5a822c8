//! Memory: taken, and never given back.

use lol_alloc::{AssumeSingleThreaded, LeakingAllocator};

/// An instance answers one request and is gone with all its memory, and what a request
/// takes is limited with its body and its page. To free it piece by piece would be a
/// third of the instructions of a request.
// SAFETY: wasm32-wasip1 has one thread.
#[allow(unsafe_code)]
#[global_allocator]
static ALLOCATOR: AssumeSingleThreaded<LeakingAllocator> =
    unsafe { AssumeSingleThreaded::new(LeakingAllocator::new()) };
