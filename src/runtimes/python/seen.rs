//! A text for a component, and a look at the component's memory on the way: wasmtime has no other way to that.

use std::mem::MaybeUninit;

use wasmtime::{
    Result,
    component::{
        __internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext},
        ComponentType, Lower,
    },
};

/// A text; just before the guest gets it, `look` is given the memory that it will be in.
pub(super) struct Seen<'a> {
    pub(super) text: &'a str,
    pub(super) look: &'a (dyn Fn(&mut [u8]) + Send + Sync),
}

// SAFETY: it is a text in every respect.
#[expect(unsafe_code, reason = "what a component takes is an unsafe trait")]
unsafe impl ComponentType for Seen<'_> {
    type Lower = <str as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <str as ComponentType>::ABI;

    fn typecheck(wanted: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <str as ComponentType>::typecheck(wanted, types)
    }
}

// SAFETY: the text does it. Whatever `look` writes, it writes as the guest itself could.
#[expect(unsafe_code, reason = "what a component takes is an unsafe trait")]
unsafe impl Lower for Seen<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        context: &mut LowerContext<'_, T>,
        wanted: InterfaceType,
        to: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        (self.look)(context.as_slice_mut());
        self.text.linear_lower_to_flat(context, wanted, to)
    }

    fn linear_lower_to_memory<T>(&self, context: &mut LowerContext<'_, T>, wanted: InterfaceType, offset: usize) -> Result<()> {
        (self.look)(context.as_slice_mut());
        self.text.linear_lower_to_memory(context, wanted, offset)
    }
}
