//! sandbox._native: what Python sees. Arguments are buffers, results own their memory and are buffers too.

mod buffer;
mod equality;
mod evaluated;
mod keys;
mod matching;
mod okvs;
mod prg;
mod psi;
mod refusal;
mod shares;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<buffer::Buffer>()?;
    module.add_function(wrap_pyfunction!(prg::expand, module)?)?;
    module.add("PeerError", module.py().get_type::<refusal::PeerError>())?;
    module.add_class::<keys::KeyColumn>()?;
    module.add_function(wrap_pyfunction!(keys::hash_keys, module)?)?;
    module.add_function(wrap_pyfunction!(keys::is_plain, module)?)?;
    module.add_function(wrap_pyfunction!(keys::permutation, module)?)?;
    module.add_function(wrap_pyfunction!(keys::take, module)?)?;
    module.add_function(wrap_pyfunction!(keys::shorten_tags, module)?)?;
    module.add_function(wrap_pyfunction!(keys::lengthen_tags, module)?)?;
    module.add_function(wrap_pyfunction!(matching::match_tags, module)?)?;
    module.add_function(wrap_pyfunction!(matching::has_repeats, module)?)?;
    module.add("SLOTS_PER_CHUNK", crate::shares::CHUNK)?;
    module.add_class::<shares::Placement>()?;
    module.add_class::<shares::SlotColumns>()?;
    module.add_class::<shares::InnerProduct>()?;
    module.add_class::<evaluated::MaskedFactor>()?;
    module.add_class::<evaluated::Evaluator>()?;
    module.add_class::<equality::Equality>()?;
    module.add_class::<shares::SlotwiseDealer>()?;
    module.add_class::<shares::SlotwiseProduct>()?;
    module.add_function(wrap_pyfunction!(shares::local_product, module)?)?;
    module.add_function(wrap_pyfunction!(shares::deal_inner, module)?)?;
    module.add_function(wrap_pyfunction!(shares::zero_share, module)?)?;
    module.add_function(wrap_pyfunction!(psi::psi_digest, module)?)?;
    module.add_function(wrap_pyfunction!(psi::bucket_keys, module)?)?;
    module.add_function(wrap_pyfunction!(psi::psi_matches, module)?)?;
    module.add_class::<psi::PsiReceiver>()?;
    module.add_class::<psi::PsiSender>()?;
    module.add_function(wrap_pyfunction!(okvs::okvs_length, module)?)?;
    module.add_function(wrap_pyfunction!(okvs::okvs_encode, module)?)?;
    module.add_function(wrap_pyfunction!(okvs::okvs_decode, module)?)?;
    Ok(())
}
