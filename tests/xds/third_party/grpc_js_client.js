// The same as grpc_client.cc, by @grpc/grpc-js and @grpc/grpc-js-xds.
'use strict';

const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const bytes = (buffer) => buffer;

function ask() {
  let call;
  const done = (error) => {
    if (error) {
      console.log(`failed ${error.code} ${error.details}`);
    } else {
      console.log(`ok ${call.getPeer()}`);
    }
    setTimeout(ask, 10);
  };
  call = client.makeUnaryRequest('/portolan.test.Echo/Say', bytes, bytes, Buffer.alloc(0),
    {deadline: Date.now() + 5000}, done);
}
ask();
