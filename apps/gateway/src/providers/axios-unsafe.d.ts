/**
 * The last step of `Axios.request`, which hands a request to its adapter. The ones before it merge defaults and call
 * interceptors, of which there are none here, for 5 % of what a message costs. axios exports it for those who need it,
 * without types, and may change it with any release: its version is pinned.
 */
declare module 'axios/unsafe/core/dispatchRequest.js' {
  import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
  export default function dispatchRequest<Data>(config: InternalAxiosRequestConfig): Promise<AxiosResponse<Data>>;
}
