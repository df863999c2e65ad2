/**
 * Inspektor Gadget's key, with which its published gadgets are signed (`pkg/resources/inspektor-gadget.pub` of
 * https://github.com/inspektor-gadget/inspektor-gadget).
 */
export const INSPEKTOR_GADGET_PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoDOC0gYSxZTopenGmX3ZFvQ1DSfh
Ir4EKRt5jC+mXaJ7c7J+oREskYMn/SfZdRHNSOjLTZUMDm60zpXGhkFecg==
-----END PUBLIC KEY-----
`;
