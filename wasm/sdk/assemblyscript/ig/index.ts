// What a gadget author imports: `import { Source, param, fail, onInit } from "ig"`.

export { Bytes } from './bytes';
export { BytesField, NumberField, StringsField } from './field';
export { BytesColumn, NumberColumn } from './column';
export { Source } from './source';
export { fail, onInit, param } from './gadget';
