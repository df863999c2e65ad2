// What a module's author imports: `import { Source, param, fail, onInit } from "ig"`.

export { Bytes } from './bytes';
export { ArrayField, BytesField, NumberField, StringsField } from './field';
export { ArrayColumn, BytesColumn, NumberColumn } from './column';
export { NewSource } from './new-source';
export { Source } from './source';
export { fail, onFinish, onInit, onTick, param } from './gadget';
export { Level, log, logs } from './log';
