// SPDX-License-Identifier: Apache-2.0
// A client of kmodd in JavaScript, made from the proto files alone.
//
//   node client.js PROTO-DIRECTORY list
//   node client.js PROTO-DIRECTORY load|hold MODULE...
//   node client.js PROTO-DIRECTORY watch
//
// $KMODD_SOCKET is the daemon's socket. `hold` keeps the modules loaded until its input ends.
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const [protos, command, ...names] = process.argv.slice(2);
const definition = loader.loadSync("kmodd/v1/module_service.proto", {
  includeDirs: [protos],
  keepCase: true, // names of fields as they are in the proto files
  enums: String,
  longs: Number,
});
const { ModuleService } = grpc.loadPackageDefinition(definition).kmodd.v1;
const modules = new ModuleService(
  `unix:${process.env.KMODD_SOCKET ?? "/run/kmodd/admin/kmodd.sock"}`,
  grpc.credentials.createInsecure(),
);

// What a failed call carries: https://github.com/googleapis/googleapis, google/rpc.
const rpc = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`, { keepCase: true }).root;

// Returns the ErrorInfo of a failed call; undefined where kmodd had no part in the failure.
function errorInfo(error) {
  const [status] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!status) return undefined;
  const { details } = rpc.lookupType("Status").decode(status);
  const found = details.find(({ type_url }) => type_url.endsWith("/google.rpc.ErrorInfo"));
  return found && rpc.lookupType("ErrorInfo").decode(found.value);
}

function fail(error) {
  const info = errorInfo(error);
  const why = info ? ` (${info.reason}, errno ${info.metadata.errno})` : "";
  console.error(`${error.details}${why}`);
  process.exitCode = 1;
  modules.close();
}

function list() {
  modules.ListModules({}, (error, answer) => {
    if (error) return fail(error);
    for (const module of answer.modules ?? []) {
      console.log(module.name, module.size_bytes, (module.holders ?? []).join(","));
    }
    modules.close();
  });
}

function load() {
  modules.LoadModules({ names }, (error, answer) => {
    if (error) return fail(error);
    for (const { name, failure } of answer.results) {
      if (failure) fail({ details: `${name}: ${failure.message}` });
      else console.log("loaded", name);
    }
    modules.close();
  });
}

function hold() {
  const call = modules.HoldModules({ load: { names }, note: "client.js" });
  call.on("data", (held) => console.log("held", held.modules.join(" ")));
  call.on("error", fail);
  process.stdin.on("end", () => {
    call.removeListener("error", fail); // that it is cancelled is no failure
    call.on("error", () => modules.close());
    call.cancel();
  });
  process.stdin.resume();
}

function watch() {
  const call = modules.WatchModules({});
  call.on("data", ({ snapshot, changes }) => {
    for (const module of snapshot?.modules ?? []) console.log("there is", module.name);
    if (snapshot) console.log("watching");
    for (const { kind, module } of changes?.changes ?? []) console.log(kind, module.name);
  });
  call.on("error", fail);
}

({ list, load, hold, watch })[command]();
